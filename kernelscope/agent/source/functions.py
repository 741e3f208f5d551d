"""The functions of a program's text: where they are, and the return that some of them lack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernelscope.protocol.c_tokens import Token, closing

Edit = tuple[int, int, str]


@dataclass(frozen=True)
class Function:
    """One function: the tokens from `head` to its "{", and from there to its "}" at `end`."""

    head: int
    opening: int
    end: int


def functions(tokens: Sequence[Token]) -> list[Function]:
    """Return the functions that the text defines, macros like TRACEPOINT_PROBE(...) {} included."""
    found = []
    head = i = 0
    while i < len(tokens):
        text = tokens[i].text if tokens[i].kind == "punct" and not tokens[i].directive else ""
        if text == "{":
            end = closing(tokens, i)
            if end is None:
                break
            if i and tokens[i - 1].text == ")":
                found.append(Function(_after_directives(tokens, head), i, end))
                head = end + 1
            i = end
        elif text == ";":
            head = i + 1
        i += 1
    return found


def return_edits(tokens: Sequence[Token]) -> list[Edit]:
    """Make every program return 0 where its text returns nothing.

    The verifier refuses a program without a result. BCC's programs get one by chance, from the
    last helper that they call.
    """
    edits: list[Edit] = []
    for function in functions(tokens):
        head = tokens[function.head : function.opening]
        words = {token.text for token in head}
        if words & {"static", "inline", "__always_inline", "struct", "union"} - _types(head):
            continue
        body = range(function.opening, function.end)
        nothing = _void(head)
        if nothing is not None:
            edits.append((nothing.start, nothing.end, "int"))
            edits += [e for i in body if tokens[i].text == "return" for e in _zero(tokens, i)]
        elif any(tokens[i].text == "return" for i in body) and _ends_in_return(tokens, function):
            continue
        end = tokens[function.end].start
        edits.append((end, end, "return 0; "))
    return edits


def _zero(tokens: Sequence[Token], i: int) -> list[Edit]:
    """Make a return of a void function return 0; `return g();` still calls g."""
    if tokens[i + 1].text == ";":
        return [(tokens[i].end, tokens[i].end, " 0")]
    end = next((j for j in range(i, len(tokens)) if tokens[j].text == ";"), None)
    if end is None:
        return []
    return [
        (tokens[i].start, tokens[i].end, "{"),
        (tokens[end].end, tokens[end].end, " return 0; }"),
    ]


def _void(head: Sequence[Token]) -> Token | None:
    """Return the "void" of `void name(`."""
    for first, second, third in zip(head, head[1:], head[2:]):
        if first.text == "void" and second.kind == "name" and third.text == "(":
            return first
    return None


def _types(head: Sequence[Token]) -> set[str]:
    """Return "struct" and "union" if only parameters have such types."""
    first = next((i for i, token in enumerate(head) if token.text == "("), 0)
    outside = {token.text for token in head[:first]}
    return {"struct", "union"} - outside


def _ends_in_return(tokens: Sequence[Token], function: Function) -> bool:
    """Return whether the last statement of the body is a return, or may contain one."""
    last = function.end - 1
    if tokens[last].text == "}":
        return False
    i = last - 1
    while i > function.opening and tokens[i].text not in (";", "{", "}"):
        i -= 1
    return tokens[i + 1].text == "return"


def _after_directives(tokens: Sequence[Token], head: int) -> int:
    while tokens[head].directive:
        head += 1
    return head
