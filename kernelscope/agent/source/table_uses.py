"""The calls of tables' methods in a program's text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernelscope.agent.source.table_declarations import Table
from kernelscope.protocol.c_tokens import Token, arguments


@dataclass
class Use:
    """One call of a table's method: `x.method(arguments)`."""

    table: str
    method: str
    at: int
    start: int
    end: int
    arguments: list[Sequence[Token]]
    wrappable: bool


def uses_of(tokens: list[Token], tables: dict[str, Table]) -> tuple[list[Use], set[str]]:
    """Find the calls of tables' methods, and the tables whose every mention is such a call."""
    uses: list[Use] = []
    unsure: set[str] = set()
    inside = inside_calls(tokens)
    for i, token in enumerate(tokens):
        if token.kind != "name" or token.text not in tables or i == tables[token.text].at:
            continue
        if i and (tokens[i - 1].text in (".", "->", "struct") or _declares(tokens, i)):
            continue  # a member or a tag of the same name
        use = _use(tokens, i, i not in inside)
        if use is None or token.directive:
            unsure.add(token.text)
        else:
            uses.append(use)
    return uses, {name for name, table in tables.items() if not table.directive} - unsure


def _declares(tokens: list[Token], i: int) -> bool:
    """Return whether token `i` is the name in `u32 name;`, a struct's member."""
    kind, following = tokens[i - 1], [token.text for token in tokens[i + 1 : i + 2]]
    return kind.kind == "name" and kind.text != "return" and following == [";"]


def _use(tokens: list[Token], i: int, wrappable: bool) -> Use | None:
    following = [t.text for t in tokens[i + 1 : i + 4]]
    if len(following) < 3 or following[0] != "." or following[2] != "(":
        return None
    found = arguments(tokens, i + 3)
    if found is None:
        return None
    parts, end = found
    return Use(
        table=tokens[i].text,
        method=following[1],
        at=i,
        start=tokens[i].start,
        end=tokens[end].end,
        arguments=parts,
        wrappable=wrappable,
    )


def inside_calls(tokens: list[Token]) -> set[int]:
    """Return the tokens that are arguments of a call or macro.

    BCC replaces a macro's whole expansion when it rewrites a call among its arguments, so a
    wrapper around that call would be lost.
    """
    control = {"if", "while", "for", "switch", "return", "sizeof"}
    inside: set[int] = set()
    stack: list[bool] = []
    for i, token in enumerate(tokens):
        text = token.text if token.kind == "punct" else ""
        if text == "(":
            before = tokens[i - 1] if i else None
            is_call = before is not None and before.kind == "name" and before.text not in control
            stack.append(is_call or bool(stack and stack[-1]))
        elif text == "{":
            stack.append(bool(stack and stack[-1] and tokens[i - 1].text == "("))
        elif text in (")", "}") and stack:
            stack.pop()
        if stack and stack[-1]:
            inside.add(i)
    return inside
