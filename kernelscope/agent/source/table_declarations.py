"""The tables that a program's text declares with BCC's macros."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernelscope.protocol.c_tokens import Token, arguments, closing

# macro -> position of the name, and the number of arguments with which a size is stated
MACROS: dict[str, tuple[int, int]] = {
    "BPF_HASH": (0, 4),
    "BPF_PERCPU_HASH": (0, 4),
    "BPF_ARRAY": (0, 3),
    "BPF_PERCPU_ARRAY": (0, 3),
    "BPF_HISTOGRAM": (0, 3),
    "KS_HISTOGRAM": (0, 3),
    "BPF_LPM_TRIE": (0, 4),
    "BPF_TABLE": (3, 0),
    "BPF_F_TABLE": (3, 0),
    "BPF_TABLE_PUBLIC": (3, 0),
    "BPF_TABLE_SHARED": (3, 0),
    "BPF_TABLE_PINNED": (3, 0),
    "BPF_STACK_TRACE": (0, 0),
    "BPF_STACK_TRACE_BUILDID": (0, 0),
    "BPF_PERF_OUTPUT": (0, 0),
    "BPF_RINGBUF_OUTPUT": (0, 0),
    "BPF_PERF_ARRAY": (0, 0),
    "BPF_PROG_ARRAY": (0, 0),
    "BPF_CGROUP_ARRAY": (0, 0),
    "BPF_ARRAY_OF_MAPS": (0, 0),
    "BPF_HASH_OF_MAPS": (0, 0),
    "BPF_QUEUE": (0, 0),
    "BPF_STACK": (0, 0),
    "BPF_DEVMAP": (0, 0),
    "BPF_CPUMAP": (0, 0),
    "BPF_XSKMAP": (0, 0),
    "BPF_SK_STORAGE": (0, 0),
    "BPF_INODE_STORAGE": (0, 0),
    "BPF_TASK_STORAGE": (0, 0),
    "BPF_CGROUP_STORAGE": (0, 0),
    "BPF_SOCKMAP": (0, 0),
    "BPF_SOCKHASH": (0, 0),
}


@dataclass(frozen=True)
class Table:
    """One declaration: `macro(...)` at text[start:end].

    sized: the text states its number of entries, or its kind has no default.
    at: index of the name's token. directive: it is part of a macro's body.
    """

    name: str
    macro: str
    start: int
    end: int
    at: int
    sized: bool
    directive: bool


def declared_tables(tokens: Sequence[Token]) -> dict[str, Table]:
    """Return the tables that the text declares, in order."""
    found: dict[str, Table] = {}
    for i, token in enumerate(tokens[:-1]):
        if token.kind != "name" or token.text not in MACROS or tokens[i + 1].text != "(":
            continue
        table = _table(tokens, i)
        if table is not None and table.name not in found:
            found[table.name] = table
    return found


def _table(tokens: Sequence[Token], i: int) -> Table | None:
    split = arguments(tokens, i + 1)
    position, sizing = MACROS[tokens[i].text]
    if split is None or len(split[0]) <= position:
        return None
    parts, end = split
    if len(parts[position]) != 1 or parts[position][0].kind != "name":
        return None
    name = parts[position][0]
    return Table(
        name=name.text,
        macro=tokens[i].text,
        start=tokens[i].start,
        end=tokens[end].end,
        at=tokens.index(name, i),
        sized=len(parts) >= sizing,
        directive=tokens[i].directive,
    )


def function_around(tokens: Sequence[Token], at: int) -> Sequence[Token]:
    """Return the function around token `at`, from its declaration to the end of its body."""
    head = i = 0
    while i < len(tokens):
        text = tokens[i].text if tokens[i].kind == "punct" and not tokens[i].directive else ""
        if text == "{":
            end = closing(tokens, i)
            if end is None:
                return tokens[head:]
            if i < at < end:
                return tokens[head:end]
            i = end
        if text in ("{", ";"):
            head = i + 1
        i += 1
    return ()
