"""The C type of the records in a ring or perf buffer, derived from the program's text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

from kernelscope.agent.source.declared_names import file_scope_types
from kernelscope.agent.source.table_declarations import function_around
from kernelscope.protocol.c_tokens import Token, closing, spelling

TEXT = "char"  # a record that is a text of any length

# For each method that sends a record: the positions of its data and size arguments.
_DATA_AND_SIZE = {
    "perf_submit": (1, 2),
    "perf_submit_skb": (2, 3),
    "ringbuf_output": (0, 1),
    "ringbuf_reserve": (None, 0),
}
_SCALARS = frozenset(
    [f"{sign}{width}" for sign in ("u", "s", "__u", "__s") for width in (8, 16, 32, 64)]
    + ["int", "long", "short", "char", "bool"]
)
_TAGS = ("struct", "union")
_NOT_A_TYPE = ("return", "sizeof", "goto", "else", "case")

Use = tuple[str, int, Sequence[Sequence[Token]]]


class RecordType(NamedTuple):
    """The type of a table's records.

    type: as C that a typedef can name, "" if it is not known. fixed: all records have its size.
    several: all types, if there is more than one. sent: the text has a call that sends a record.
    """

    type: str
    fixed: bool
    several: tuple[str, ...] = ()
    sent: bool = True


def record_type(tokens: Sequence[Token], uses: Sequence[Use]) -> RecordType:
    """Return the type of a table's records.

    uses: the table's calls: method, index in `tokens`, arguments.
    """
    known = file_scope_types(tokens)
    found: dict[str, bool] = {}
    for method, at, parts in uses:
        places = _DATA_AND_SIZE.get(method)
        if places is None or len(parts) <= places[1]:
            continue  # no record, or clang will refuse the call
        data = None if places[0] is None else parts[places[0]]
        kind, fixed = _record_of(tokens, at, data, parts[places[1]], known) or ("", False)
        found[kind] = found.get(kind, True) and fixed
    if not found:
        return RecordType("", False, sent=False)
    if len(found) > 1 or "" in found:
        return RecordType("", False, tuple(kind for kind in found if kind))
    ((kind, fixed),) = found.items()
    return RecordType(kind, fixed)


def _record_of(
    tokens: Sequence[Token],
    at: int,
    data: Sequence[Token] | None,
    size: Sequence[Token],
    known: set[str],
) -> Optional[tuple[str, bool]]:
    by_size = _sizeof_operand(size)
    if by_size is not None:
        kind = _as_type(by_size, known) or _declared_type(tokens, at, by_size, known)
        kind = kind if kind in known else _defined_inside(function_around(tokens, at), kind) or kind
        if kind:
            return kind, kind != TEXT
    kind = "" if data is None else _declared_type(tokens, at, data, known)
    return (kind, False) if kind else None


def _sizeof_operand(size: Sequence[Token]) -> Sequence[Token] | None:
    """Return the operand if the size is just `sizeof(...)`."""
    texts = [t.text for t in size]
    if len(texts) > 3 and texts[:2] == ["sizeof", "("] and closing(size, 1) == len(size) - 1:
        return size[2:-1]
    if len(texts) == 2 and texts[0] == "sizeof":
        return size[1:]
    return None


def _as_type(operand: Sequence[Token], known: set[str]) -> str:
    if len(operand) == 2 and operand[0].text in _TAGS:
        return spelling(operand)
    if len(operand) == 1 and (operand[0].text in _SCALARS or operand[0].text in known):
        return operand[0].text
    return ""


def _declared_type(
    tokens: Sequence[Token], at: int, expression: Sequence[Token], known: set[str]
) -> str:
    """Return the type of the variable in `&name`, `*name` or `name`: its nearest declaration."""
    variables = [t for t in expression if t.kind == "name" and t.text not in ("void", *_TAGS)]
    if len(variables) != 1:
        return ""
    name = variables[0].text
    function = function_around(tokens, at)
    limit = tokens[at].start
    found = ""
    for i in range(1, len(function)):
        if function[i].start >= limit:
            break
        if function[i].text == name and function[i].kind == "name":
            found = _type_of(function, i, known) or found
    return found


def _type_of(body: Sequence[Token], i: int, known: set[str]) -> str:
    """Return the type that the declaration of token `i` gives it, "" if it declares nothing."""
    j = i - 1
    while j > 0 and body[j].text == "*":
        j -= 1
    following = body[i + 1].text if i + 1 < len(body) else ";"
    if following not in ("=", ";", ",", ")", "["):
        return ""
    stars = i - 1 - j
    if body[j].text == "}":  # struct { ... } name
        return _definition(body, j)
    if body[j].kind != "name" or body[j].text in (*_NOT_A_TYPE, *_TAGS):
        return ""
    kind = body[j].text
    if j > 0 and body[j - 1].text in _TAGS:
        kind = f"{body[j - 1].text} {kind}"
        kind = kind if kind in known else _defined_inside(body, kind) or kind
    elif kind not in known and kind not in _SCALARS:
        return ""
    if kind == TEXT:
        return TEXT
    return kind + (_dimensions(body, i + 1) if not stars else "")


def _dimensions(body: Sequence[Token], i: int) -> str:
    text = ""
    while i < len(body) and body[i].text == "[":
        end = closing(body, i)
        if end is None:
            break
        text += f" [{spelling(body[i + 1 : end])}]"
        i = end + 1
    return text


def _definition(body: Sequence[Token], end: int) -> str:
    """Return the struct's definition that ends at token `end`, without its tag."""
    depth = 0
    for i in range(end, -1, -1):
        depth += (body[i].text == "}") - (body[i].text == "{")
        if depth == 0:
            before = [token.text for token in body[max(0, i - 2) : i]]
            word = next((text for text in reversed(before) if text in _TAGS), "")
            return f"{word} {spelling(body[i : end + 1])}" if word else ""
    return ""


def _defined_inside(body: Sequence[Token], kind: str) -> str:
    """Return the definition of a struct inside a function, without its tag."""
    word, _, tag = kind.partition(" ")
    for i in range(len(body) - 2):
        if [token.text for token in body[i : i + 3]] == [word, tag, "{"]:
            end = closing(body, i + 2)
            return _definition(body, end) if end else ""
    return ""
