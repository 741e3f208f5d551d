"""Arrays of arrays in a program's structs. BCC describes only their first length.

A hidden map of each member's element has BCC report the element's size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from kernelscope.agent.source.functions import functions
from kernelscope.protocol.c_tokens import Token, closing, scan


class ArrayMember(NamedTuple):
    """A member that is an array of arrays. struct: BCC's name of its struct, "" without a tag."""

    owner: str
    struct: str
    member: str

    @property
    def element(self) -> str:
        """The type of the array's elements, in C."""
        return f"typeof((({self.owner} *)0)->{self.member}[0])"


def array_members(tokens: Sequence[Token], records: Mapping[str, str]) -> list[ArrayMember]:
    """Return the arrays of arrays in structs at file scope and in the types of records.

    records: typedef names of records' types, and the definitions that they stand for.
    """
    inside = {i for f in functions(tokens) for i in range(f.opening, f.end)}
    found = [
        ArrayMember(owner, struct, member)
        for i, owner, struct in _structs(tokens)
        if i not in inside
        for member in _members(tokens, i)
    ]
    for name, definition in records.items():
        body = scan(definition)
        if len(body) > 1 and body[1].text == "{":
            found += [ArrayMember(name, "", member) for member in _members(body, 1)]
    return found


def _structs(tokens: Sequence[Token]) -> Iterator[tuple[int, str, str]]:
    """Yield each struct's "{", its type and its tag."""
    for i, token in enumerate(tokens):
        if token.text not in ("struct", "union") or token.directive or i + 2 >= len(tokens):
            continue
        if tokens[i + 2].text == "{":
            yield i + 2, f"{token.text} {tokens[i + 1].text}", tokens[i + 1].text
        elif tokens[i + 1].text == "{" and i and tokens[i - 1].text == "typedef":
            end = closing(tokens, i + 1)
            if end is not None and end + 1 < len(tokens) and tokens[end + 1].kind == "name":
                yield i + 1, tokens[end + 1].text, ""


def _members(tokens: Sequence[Token], opening: int) -> Iterator[str]:
    end = closing(tokens, opening) or len(tokens)
    i = opening + 1
    while i < end:
        if tokens[i].text == "{":
            i = closing(tokens, i) or end
        elif tokens[i].kind == "name" and i + 1 < end and tokens[i + 1].text == "[":
            last = closing(tokens, i + 1)
            if last is not None and tokens[last + 1].text == "[":
                yield tokens[i].text
        i += 1
