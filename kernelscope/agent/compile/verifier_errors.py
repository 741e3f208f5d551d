"""The verifier's refusals as VerifierError, at the line of C that it stopped at."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, Optional

from kernelscope.agent.compile.verifier_hints import hint_for, reason_of
from kernelscope.errors import KernelScopeError, VerifierError

_LOG_LIMIT = 64 << 10
# Warnings that name the cause of a refusal.
_CAUSE = re.compile(
    r"\[-W(?:int-conversion|incompatible-pointer-types|(?:sometimes-)?uninitialized|return-type"
    r"|int-to-pointer-cast|array-bounds)"
)

Lines = dict[int, tuple[int, str]]
"""Instruction -> line number and text of the user's C."""


class Source(NamedTuple):
    """What is known of a program's C: the lines of a function, its globals, clang's warnings."""

    lines: Lines
    globals: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()


SourceLines = Callable[[str], Source]
"""Returns what is known of one function's C; see Compiler.source_lines."""


def instruction_lines(output: str, function: str, source: str, prefix_lines: int) -> Lines:
    """Read BCC's listing of a function (its DEBUG_SOURCE): instruction -> the user's line, text.

    The listing counts lines of the text that BCC rewrote, which has a few more than the user's.
    The shift is the one that most lines agree on. (BCC breaks a line after a function's "{", so
    only the ends of lines are compared.)
    """
    listing = _listing(output, function)
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


def _listing(output: str, function: str) -> list[tuple[int, int, str]]:
    """Return instruction, line and text of each instruction that BCC lists for a function."""
    found: list[tuple[int, int, str]] = []
    place: tuple[int, str] | None = None
    inside = False
    for line in output.splitlines():
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
    function: str, log: str, source_lines: Optional[SourceLines] = None, prologue: int = 0
) -> VerifierError:
    """Return why the verifier refused a function, at the line of C that it stopped at.

    prologue: number of instructions that the loader put before the function's own.
    """
    source = Source({})
    if source_lines is not None:
        with suppress(KernelScopeError):  # the refusal itself matters more than its line
            source = source_lines(function)
    return refusal(function, log, source, prologue)


def refusal(function: str, log: str, source: Source, prologue: int = 0) -> VerifierError:
    """Return the VerifierError for a log."""
    reason = reason_of(log)
    at = failing_instruction(log)
    number, text = _line_of(source.lines, None if at is None else at - prologue)
    where = f" at line {number}" if number else ""
    message = f"the kernel's verifier refused {function}{where}: {reason}"
    if text:
        message += f"\n    {text.strip()}"
    warned = "; ".join(warning for warning in source.warnings if _CAUSE.search(warning))
    return VerifierError(
        message,
        hint=_global_hint(text, reason, source.globals) or warned or hint_for(reason),
        function=function,
        line=number,
        text=text,
        reason=reason,
        log=_end(log),
    )


def _global_hint(text: str | None, reason: str, names: frozenset[str]) -> str | None:
    """Explain a use of a global variable, which is an invalid address for the verifier.

    Where a program has globals, clang's line information may be missing.
    """
    if text is None and "invalid mem access" in reason:
        found = sorted(names)
    else:
        found = sorted(names & set(re.findall(r"\w+", text or "")))
    if not found:
        return None
    name = found[0]
    return (
        f"{name} is a global variable, which BCC's C does not have: keep it in a map"
        f" (BPF_ARRAY({name}, u64, 1)), or pass it with -D {name}=VALUE"
    )


def failing_instruction(log: str) -> int | None:
    """Return the instruction at which the verifier stopped."""
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
    """Return the whole log, or its end, which holds the reason, if it is too long."""
    return log if len(log) <= _LOG_LIMIT else "...\n" + log[-_LOG_LIMIT + 4 :]
