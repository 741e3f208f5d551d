"""What clang and the kernel's verifier say, in words and lines of the user's text."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Optional

from kernelscope.agent.compile.verifier_hints import hint_for, reason_of
from kernelscope.errors import CompileError, KernelScopeError, VerifierError

if TYPE_CHECKING:
    from kernelscope.agent.compile.compiler import Compiler
    from kernelscope.protocol.program import Program

_MESSAGE = re.compile(
    r"^(?P<file>[^\s:][^:\n]*):(?P<line>\d+):(?P<column>\d+): "
    r"(?P<kind>fatal error|error|warning|note): (?P<text>.*)$"
)
_GUTTER = re.compile(r"^ *\d+ \|")  # LLVM 17 and later put the line's number before its text
_MAIN = "/virtual/main.c"
_LACKS = re.compile(
    r"error: (?:use of undeclared identifier|unknown type name|no member named) '(\w+)'"
    r"|error: .*incomplete (?:definition of )?type '(?:struct |union |enum )?(\w+)'"
    r"|implicit declaration of function '(\w+)'|call to undeclared function '(\w+)'"
)
_LOG_LIMIT = 64 << 10
Lines = dict[int, tuple[int, str]]
_Place = Optional[tuple[int, int]]


# --- clang ---------------------------------------------------------------------------------------


def compile_error(said: str, source: str, prefix_lines: int) -> CompileError:
    """Return the first error that clang reported, with its place in the user's text."""
    lines = said.splitlines()
    first = next((m for m in map(_MESSAGE.match, lines) if m and "error" in m["kind"]), None)
    if first is None:
        return CompileError(
            _without_place(said),
            hint=_compile_hint(said),
            line=None,
            column=None,
            text=None,
            log=_shifted(said, prefix_lines)[:_LOG_LIMIT],
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
        log=_shifted(said, prefix_lines)[:_LOG_LIMIT],
    )


def warnings(said: str, source: str, prefix_lines: int) -> list[str]:
    """Return clang's warnings about the user's own lines, each as one line of text."""
    found = []
    for match in map(_MESSAGE.match, said.splitlines()):
        if match and match["kind"] == "warning" and match["file"] == _MAIN:
            line = int(match["line"]) - prefix_lines
            if 1 <= line <= len(source.splitlines()):
                found.append(f"line {line}: {match['text']}")
    return list(dict.fromkeys(found))


def lacking_names(said: str) -> set[str]:
    """Return the names that clang misses: a wider header may have them."""
    return {name for found in _LACKS.findall(said) for name in found if name}


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
            line = _own_line(texts, int(match["line"]) - prefix_lines, quoted.strip())
            if line is not None:
                return line, int(match["column"])
    return None


def _own_line(texts: list[str], line: int, quoted: str) -> int | None:
    """Return the line that clang quotes: BCC's second pass has lines of its own before it."""
    same = [number for number, text in enumerate(texts[:line], 1) if text.strip() == quoted]
    if same and quoted:
        return same[-1]
    return line if 1 <= line <= len(texts) else None


def _shifted(said: str, prefix_lines: int) -> str:
    """Return clang's words with the lines of the user's text counted from its own line 1."""

    def shift(match: re.Match[str]) -> str:
        line = int(match.group(1)) - prefix_lines
        return f"program:{line}:" if line > 0 else match.group()

    return re.sub(rf"{re.escape(_MAIN)}:(\d+):", shift, said)


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


def _without_place(said: str) -> str:
    for pattern, message in _REWORDED:
        match = re.search(pattern, said)
        if match:
            return message.format(*match.groups())
    lines = [line.strip() for line in said.splitlines() if line.strip()]
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
        "{0} is no helper or inline function known here",
    ),
    (
        r"[Ll]ooks like the BPF stack limit|stack limit of 512",
        "put large structs into a BPF_PERCPU_ARRAY, or fill a record that a ring has reserved",
    ),
    (
        r"could not open bpf map: \w+, error: (?:Argument list too long|Cannot allocate memory)",
        "make it smaller: the kernel's limit, or this machine's memory, does not allow that size",
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


# --- the verifier --------------------------------------------------------------------------------


def instruction_lines(said: str, function: str, source: str, prefix_lines: int) -> Lines:
    """Read BCC's listing of a function (its DEBUG_SOURCE): instruction -> the user's line, text.

    The listing counts lines of the text that BCC rewrote, which has a few more than the user's:
    how many more is judged from the lines that both have. (BCC ends a line after a function's "{",
    so only ends of lines are compared.)
    """
    listing = _listing(said, function)
    texts = source.splitlines()
    stated = {number: text for _, number, text in listing}
    votes: Counter[int] = Counter()
    for number, text in stated.items():
        votes.update(
            number - line
            for line, own in enumerate(texts, 1)
            if own.strip().endswith(text) and len(text) > 3 and number - line >= prefix_lines
        )
    if not votes:
        return {}
    shift = votes.most_common(1)[0][0]
    found: Lines = {}
    for instruction, number, _ in listing:
        if 1 <= number - shift <= len(texts):
            found[instruction] = (number - shift, texts[number - shift - 1])
    return found


def _listing(said: str, function: str) -> list[tuple[int, int, str]]:
    """Return instruction, line and text of each instruction that BCC lists for a function."""
    found: list[tuple[int, int, str]] = []
    place: tuple[int, str] | None = None
    inside = False
    for line in said.splitlines():
        head = re.match(r"Disassembly of function (\S+)|([\w.]+):\s*$", line)
        if head:
            inside, place = function in head.groups(), None
        stated = re.match(r"\s*; (.*?)\s*// *Line *(\d+)", line)
        if stated:
            place = int(stated.group(2)), stated.group(1).strip()
        instruction = re.match(r"\s*(\d+):\t", line)
        if inside and instruction and place:
            found.append((int(instruction.group(1)), *place))
    return found


def verifier_error(
    compiler: Compiler | None, program: Program, function: str, log: str, prologue: int = 0
) -> VerifierError:
    """Return why the verifier refused a function, at the line of C that it stopped at.

    prologue: how many instructions the loader put before the function's own.
    """
    lines: Lines = {}
    if compiler is not None:
        try:
            lines = compiler.source_lines(program, function)
        except KernelScopeError:
            lines = {}  # the refusal itself matters more than its line
    return refusal(function, log, lines, prologue)


def refusal(function: str, log: str, lines: Lines, prologue: int = 0) -> VerifierError:
    """Return the VerifierError for a log; `lines` as from `instruction_lines`."""
    reason = reason_of(log)
    at = failing_instruction(log)
    number, text = _line_of(lines, None if at is None else at - prologue)
    where = f" at line {number}" if number else ""
    message = f"the kernel's verifier refused {function}{where}: {reason}"
    if text:
        message += f"\n    {text.strip()}"
    return VerifierError(
        message,
        hint=hint_for(reason),
        function=function,
        line=number,
        text=text,
        reason=reason,
        log=_end(log),
    )


def failing_instruction(log: str) -> int | None:
    """Return the instruction that the verifier was at when it gave up."""
    stated = re.findall(r"(?:at insn|back-edge from insn|jump out of range from insn) (\d+)", log)
    if stated:
        return int(stated[-1])
    found = re.findall(r"^(?:from \d+ to )?(\d+): \(", log, re.M)
    return int(found[-1]) if found else None


def _line_of(lines: Lines, at: int | None) -> tuple[int | None, str | None]:
    if at is None:
        return None, None
    before = [index for index in lines if index <= at]
    return lines[max(before)] if before else (None, None)


def _end(log: str) -> str:
    """Return the log's end, where the reason stands, if all of it is too long."""
    return log if len(log) <= _LOG_LIMIT else "...\n" + log[-_LOG_LIMIT + 4 :]
