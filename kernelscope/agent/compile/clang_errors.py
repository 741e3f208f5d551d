"""Clang's messages as CompileError, with lines and columns of the user's text."""

from __future__ import annotations

import re
from typing import Optional

from kernelscope.errors import CompileError

_MESSAGE = re.compile(
    r"^(?P<file>[^\s:][^:\n]*):(?P<line>\d+):(?P<column>\d+): "
    r"(?P<kind>fatal error|error|warning|note): (?P<text>.*)$"
)
_GUTTER = re.compile(r"^ *\d+ \|")  # LLVM 17 and later put the line's number before its text
_MAIN = "/virtual/main.c"
_MISSING = re.compile(
    r"error: (?:use of undeclared identifier|unknown type name|no member named) '(\w+)'"
    r"|error: .*incomplete (?:definition of )?type '(?:struct |union |enum )?(\w+)'"
    r"|implicit declaration of function '(\w+)'|call to undeclared function '(\w+)'"
)
_LOG_LIMIT = 64 << 10
_Place = Optional[tuple[int, int]]


def compile_error(output: str, source: str, prefix_lines: int) -> CompileError:
    """Return the first error that clang reported, with its place in the user's text."""
    lines = output.splitlines()
    first = next((m for m in map(_MESSAGE.match, lines) if m and "error" in m["kind"]), None)
    if first is None:
        return CompileError(
            _message_without_place(output),
            hint=_compile_hint(output),
            line=None,
            column=None,
            text=None,
            log=_renumbered(output, prefix_lines)[:_LOG_LIMIT],
        )
    place = _place(lines, lines.index(first.group()), source, prefix_lines)
    line, column = place if place else (None, None)
    text = source.splitlines()[line - 1] if line else None
    where = f"line {line}: " if line else ""
    return CompileError(
        f"{where}{first['text']}{_caret(text, column)}",
        hint=_compile_hint(first["text"]),
        line=line,
        column=column,
        text=text,
        log=_renumbered(output, prefix_lines)[:_LOG_LIMIT],
    )


def warnings(output: str, source: str, prefix_lines: int) -> list[str]:
    """Return clang's warnings about the user's lines, each as one line of text."""
    found = []
    for match in map(_MESSAGE.match, output.splitlines()):
        if match and match["kind"] == "warning" and match["file"] == _MAIN:
            line = int(match["line"]) - prefix_lines
            if 1 <= line <= len(source.splitlines()):
                found.append(f"line {line}: {match['text']}")
    return list(dict.fromkeys(found))


def missing_names(output: str) -> set[str]:
    """Return the names that clang did not know; the full header may define them."""
    return {name for found in _MISSING.findall(output) for name in found if name}


def _place(lines: list[str], at: int, source: str, prefix_lines: int) -> _Place:
    """Return the user's line and column of a message: its own, or that of a note after it."""
    texts = source.splitlines()
    for i in range(at, len(lines)):
        match = _MESSAGE.match(lines[i])
        if match is None:
            continue
        if match["kind"] != "note" and i != at:
            break
        if match["file"] == _MAIN:
            quoted = _GUTTER.sub("", lines[i + 1]) if i + 1 < len(lines) else ""
            line = _quoted_line(texts, int(match["line"]) - prefix_lines, quoted.strip())
            if line is not None:
                return line, int(match["column"])
    return None


def _quoted_line(texts: list[str], line: int, quoted: str) -> int | None:
    """Return the number of the line that clang quotes: BCC's second pass inserts lines."""
    same = [number for number, text in enumerate(texts[:line], 1) if text.strip() == quoted]
    if same and quoted:
        return same[-1]
    return line if 1 <= line <= len(texts) else None


def _renumbered(output: str, prefix_lines: int) -> str:
    """Return clang's output with the lines of the user's text numbered from 1."""

    def shift(match: re.Match[str]) -> str:
        line = int(match.group(1)) - prefix_lines
        return f"program:{line}:" if line > 0 else match.group()

    return re.sub(rf"{re.escape(_MAIN)}:(\d+):", shift, output)


def _caret(text: str | None, column: int | None) -> str:
    if text is None or column is None:
        return ""
    margin = re.sub(r"[^\t]", " ", text[: column - 1])
    return f"\n    {text.rstrip()}\n    {margin}^"


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
)


def _message_without_place(output: str) -> str:
    for pattern, message in _REWORDED:
        match = re.search(pattern, output)
        if match:
            return message.format(*match.groups())
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f"the program does not compile: {lines[0] if lines else 'BCC gave no reason'}"


_COMPILE_HINTS = (
    (r"undeclared identifier '(\w+)'", "is {0} misspelt, or a macro that this kernel lacks?"),
    (r"unknown type name '(\w+)'", "this kernel's type information has no {0}"),
    (
        r"incomplete (?:definition of )?type 'struct tracepoint__(\w+?)__(\w+)'",
        "there is no tracepoint {0}:{1} here, or tracefs cannot be read",
    ),
    (
        r"incomplete (?:definition of )?type 'struct (\w+)'",
        "this kernel's type information has no struct {0}",
    ),
    (r"no member named '(\w+)' in '([^']+)'", "{1} has no {0} on this kernel"),
    (
        r"(?:implicit declaration of|call to undeclared) function '(\w+)'",
        "no BPF helper or inline function is called {0}",
    ),
    (
        r"[Ll]ooks like the BPF stack limit|stack limit of 512",
        "keep large structs in a BPF_PERCPU_ARRAY, or fill a record reserved in a ring buffer",
    ),
    (
        r"could not open bpf map: \w+, error: (?:Argument list too long|Cannot allocate memory)",
        "make it smaller: it exceeds the kernel's limit or this machine's memory",
    ),
    (
        r"unroll|loop not unrolled",
        "bound the loop by a constant, so that clang can unroll it",
    ),
)


def _compile_hint(text: str) -> str | None:
    for pattern, hint in _COMPILE_HINTS:
        match = re.search(pattern, text)
        if match:
            return hint.format(*match.groups())
    return None
