"""Clang's messages as CompileError, with lines and columns of the user's text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

from kernelscope.agent.compile.clang_hints import hint_for
from kernelscope.agent.source.rewriter import FIRST_LINE
from kernelscope.errors import CompileError

_MAIN = "/virtual/main.c"
_MESSAGE = re.compile(
    r"^(?P<file>[^\s:][^:\n]*):(?P<line>\d+):(?P<column>\d+): "
    r"(?P<kind>fatal error|error|warning|note): (?P<text>.*)$"
)
# The back end puts the kind first, or names only the place that it was at when it gave up.
_BACK_END = re.compile(
    rf"^(?:error|LLVM ERROR): (?P<file>{re.escape(_MAIN)}):(?P<line>\d+):(?P<column>\d+): "
    r"in function (?P<text>\w+ .*)$",
    re.M,
)
_PLACE = re.compile(rf"{re.escape(_MAIN)}:(\d+):(\d+)")
_MISSING = re.compile(
    r"error: (?:use of undeclared identifier|unknown type name|no member named) '(\w+)'"
    r"|error: .*incomplete (?:definition of )?type '(?:struct |union |enum )?(\w+)'"
    r"|implicit declaration of function '(\w+)'|call to undeclared function '(\w+)'"
)
_LOG_LIMIT = 64 << 10
_CARET_WIDTH = 160  # of longer lines, the part around the place is shown
_Place = Optional[tuple[int, int]]


class _Message(NamedTuple):
    """One message. place: the user's line and column, from the message or a note after it."""

    kind: str
    text: str
    place: _Place


def compile_error(output: str, source: str, ended: str = "") -> CompileError:
    """Return the first error that clang reported, with its place in the user's text.

    ended: how clang's process died, if it did.
    """
    messages = list(_messages(output, source))
    first = next((m for m in messages if "error" in m.kind), None) or _from_back_end(output, source)
    if first is None:
        first = _Message("error", _message_without_place(output, ended), None)
    line, column = first.place or (None, None)
    text = source.splitlines()[line - 1] if line else None
    message = first.text + _cause(messages, line)
    where = f"line {line}: " if line else ""
    return CompileError(
        f"{where}{message}{_caret(text, column)}",
        hint=hint_for(message if first.place else f"{message}\n{output}", source, text or ""),
        line=line,
        column=column,
        text=text,
        log=_renumbered(output)[:_LOG_LIMIT],
    )


def warnings(output: str, source: str) -> list[str]:
    """Return clang's warnings about the user's lines, each as one line of text."""
    found = [
        f"line {message.place[0]}: {message.text}"
        for message in _messages(output, source)
        if message.kind == "warning" and message.place
    ]
    return list(dict.fromkeys(found))


def missing_names(output: str) -> set[str]:
    """Return the names that clang did not know; the full header may define them."""
    return {name for found in _MISSING.findall(output) for name in found if name}


# --- messages and places -------------------------------------------------------------------------


def _messages(output: str, source: str) -> Iterator[_Message]:
    last = len(source.splitlines())
    waiting: Optional[_Message] = None
    for match in map(_MESSAGE.match, output.splitlines()):
        if match is None:
            continue
        place = _place(match, last)
        if match["kind"] != "note":
            if waiting:
                yield waiting
            waiting = _Message(match["kind"], match["text"], place)
        elif waiting and waiting.place is None:
            waiting = waiting._replace(place=place)
    if waiting:
        yield waiting


def _place(match: re.Match[str], last: int) -> _Place:
    line = int(match["line"]) - FIRST_LINE + 1
    return (line, int(match["column"])) if match["file"] == _MAIN and 1 <= line <= last else None


def _from_back_end(output: str, source: str) -> Optional[_Message]:
    last = len(source.splitlines())
    match = _BACK_END.search(output)
    if match:
        return _Message("error", _reworded(f"in function {match['text']}"), _place(match, last))
    for line, column in _PLACE.findall(output):
        number = int(line) - FIRST_LINE + 1
        if 1 <= number <= last:
            return _Message("error", _message_without_place(output, ""), (number, int(column)))
    return None


def _renumbered(output: str) -> str:
    """Return clang's output with the lines of the user's text numbered from 1."""

    def shift(match: re.Match[str]) -> str:
        line = int(match[1]) - FIRST_LINE + 1
        return f"program:{line}:" if line > 0 else match[0]

    return re.sub(rf"{re.escape(_MAIN)}:(\d+):", shift, output)


def _cause(messages: list[_Message], line: int | None) -> str:
    """Return a warning at the error's line that names the error's cause: BCC's, or of a string."""
    for message in messages:
        if message.kind == "warning" and message.place and message.place[0] == line:
            text, _, flag = message.text.partition(" [-W")
            if not flag or flag == "invalid-pp-token]":
                return f" ({text})"
    return ""


def _caret(text: str | None, column: int | None) -> str:
    if text is None or column is None:
        return ""
    start = max(0, column - 1 - _CARET_WIDTH // 2) if len(text) > _CARET_WIDTH else 0
    margin = re.sub(r"[^\t]", " ", text[start : column - 1])
    if start:
        margin += "    "
    shown = ("... " if start else "") + text[start : start + _CARET_WIDTH].rstrip()
    return f"\n    {shown}\n    {margin}^"


# --- messages reworded ---------------------------------------------------------------------------

_REWORDED = (
    (
        r"could not open bpf map: (\w+), error: (.+)",
        "the kernel refused the map {0!r}: {1}",
    ),
    (
        r"in function (\w+).*stack limit of (\d+) bytes is exceeded",
        "{0} needs more than the {1} bytes of stack that a program has",
    ),
    (
        r"in function (\w+).*BPF stack limit is exceeded",
        "{0} needs more than the 512 bytes of stack that a program has",
    ),
    (
        r"(?i)unsupport(?:ed)? signed (?:division|modulo)|= s(?:div|rem) ",
        "BPF has no signed division",
    ),
    (r"too many arg(?:ument)?s to", "a BPF helper function takes at most five arguments"),
)


def _reworded(text: str) -> str:
    for pattern, message in _REWORDED:
        match = re.search(pattern, text)
        if match:
            return message.format(*match.groups())
    return text


def _message_without_place(output: str, ended: str) -> str:
    """Return the first informative line of the output, reworded if it is known."""
    known = _reworded(output)
    if known != output:
        return known
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    reason = (errors or lines or ["BCC gave no reason"])[0]
    return f"clang {ended}: {reason}" if ended else f"the program does not compile: {reason}"
