"""The C type of the records in a ring or perf buffer, derived from the program's text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from kernelscope.agent.source.declared_names import file_scope_types
from kernelscope.agent.source.table_declarations import function_around
from kernelscope.protocol.c_tokens import Token, closing, spelling

# For each method that sends a record: the positions of its data and size arguments.
_DATA_AND_SIZE = {
    "perf_submit": (1, 2),
    "perf_submit_skb": (2, 3),
    "ringbuf_output": (0, 1),
    "ringbuf_reserve": (None, 0),
}
_SCALARS = frozenset(
    f"{sign}{width}" for sign in ("u", "s", "__u", "__s") for width in (8, 16, 32, 64)
)
_TAGS = ("struct", "union")

Use = tuple[str, int, Sequence[Sequence[Token]]]
Kind = tuple[str, bool]
_Found = Optional[Kind]


def record_type(tokens: Sequence[Token], uses: Sequence[Use]) -> Kind:
    """Return the type of a table's records ("" if it is unclear), and whether all have its size.

    uses: the table's calls: method, index in `tokens`, arguments.
    """
    kinds: set[Kind] = set()
    for method, at, parts in uses:
        places = _DATA_AND_SIZE.get(method)
        if places is None or len(parts) <= places[1]:
            continue  # no record, or clang will refuse the call
        data = None if places[0] is None else parts[places[0]]
        kinds.add(_record_of(tokens, at, data, parts[places[1]]) or ("", False))
    types = {kind for kind, _ in kinds}
    known = file_scope_types(tokens)
    if len(types) != 1 or not _is_known(types, known):
        return "", False
    return types.pop(), all(fixed for _, fixed in kinds)


def _record_of(
    tokens: Sequence[Token], at: int, data: Sequence[Token] | None, size: Sequence[Token]
) -> _Found:
    by_size = _sizeof_operand(size)
    if by_size is not None:
        kind = _as_type(by_size) or _declared_type(tokens, at, by_size)
        if kind:
            return kind, True
    if data is None:
        return None
    kind = _declared_type(tokens, at, data)
    return (kind, False) if kind else None


def _sizeof_operand(size: Sequence[Token]) -> Sequence[Token] | None:
    """Return the operand if the size is just `sizeof(...)`."""
    texts = [t.text for t in size]
    if len(texts) > 3 and texts[:2] == ["sizeof", "("] and closing(size, 1) == len(size) - 1:
        return size[2:-1]
    if len(texts) == 2 and texts[0] == "sizeof":
        return size[1:]
    return None


def _as_type(operand: Sequence[Token]) -> str:
    if len(operand) == 2 and operand[0].text in _TAGS:
        return spelling(operand)
    if len(operand) == 1 and operand[0].text in _SCALARS:
        return operand[0].text
    return ""


def _declared_type(tokens: Sequence[Token], at: int, expression: Sequence[Token]) -> str:
    """Return the type of the variable in `&name`, `*name` or `name`: its nearest declaration."""
    variables = [t for t in expression if t.kind == "name" and t.text not in ("void", *_TAGS)]
    if len(variables) != 1:
        return ""
    name = variables[0].text
    if len(expression) == 1 and name in file_scope_types(tokens):
        return name  # sizeof(data_t)
    function = function_around(tokens, at)
    limit = tokens[at].start
    found = ""
    for i in range(1, len(function)):
        if function[i].start >= limit:
            break
        if function[i].text == name and function[i].kind == "name":
            found = _type_before(function, i) or found
    return found


def _type_before(body: Sequence[Token], i: int) -> str:
    j = i - 1
    while j > 0 and body[j].text == "*":
        j -= 1
    if body[j].kind != "name" or body[j].text in ("return", "sizeof", "goto", "else", "case"):
        return ""
    following = body[i + 1].text if i + 1 < len(body) else ";"
    if following not in ("=", ";", ",", ")") or body[j].text in _TAGS:
        return ""
    if j > 0 and body[j - 1].text in _TAGS:
        return f"{body[j - 1].text} {body[j].text}"
    return body[j].text


def _is_known(types: set[str], known: set[str]) -> bool:
    return all(kind in known or kind in _SCALARS for kind in types)
