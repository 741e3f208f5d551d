"""The names that a program's text declares, and the types that it stores whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kernelscope.agent.source.table_declarations import MACROS
from kernelscope.protocol.c_tokens import Token, arguments, closing, names

TAGS = ("struct", "union", "enum")
_NOT_A_TYPE = frozenset(
    ("return", "goto", "else", "case", "sizeof", "typeof", "define", "ifdef", "ifndef", "undef")
)
_QUALIFIERS = frozenset(("const", "volatile", "static", "inline", "extern", "register", *TAGS))


def macros(tokens: Sequence[Token]) -> set[str]:
    """Return the macros that the text defines."""
    return {b.text for a, b in zip(tokens, tokens[1:]) if a.text == "define" and a.directive}


def tags(tokens: Sequence[Token]) -> set[str]:
    """Return the tags of structs, unions and enums that the text defines."""
    return {
        tokens[i + 1].text
        for i in range(len(tokens) - 2)
        if tokens[i].text in TAGS and tokens[i + 2].text == "{"
    }


def types(tokens: Sequence[Token]) -> set[str]:
    """Return the typedef names and enumerators that the text defines."""
    found: set[str] = set()
    for i, token in enumerate(tokens):
        if token.text == "enum":
            opening = next((j for j in (i + 1, i + 2) if _is(tokens, j, "{")), None)
            if opening is not None:
                found |= names(tokens[opening : closing(tokens, opening) or len(tokens)])
        elif token.text == "typedef":
            found |= _typedef_name(tokens, i)
    return found


def file_scope_types(tokens: Sequence[Token]) -> set[str]:
    """Return the structs ("struct x") and typedef names that the text defines at file scope."""
    known: set[str] = set()
    i = 0
    while i < len(tokens):
        text = tokens[i].text
        if text in ("struct", "union") and _is(tokens, i + 2, "{"):
            known.add(f"{text} {tokens[i + 1].text}")
        if text == "typedef":
            known |= _typedef_name(tokens, i)
            while i < len(tokens) and tokens[i].text != ";":
                i = (closing(tokens, i) or len(tokens)) if tokens[i].text == "{" else i + 1
        elif text == "{" and tokens[i].kind == "punct":
            i = closing(tokens, i) or len(tokens)
        i += 1
    return known


def variables(tokens: Sequence[Token]) -> set[str]:
    """Return the names after a type's name: variables, members, parameters and functions."""
    found: set[str] = set()
    for i in range(1, len(tokens) - 1):
        token, after = tokens[i], tokens[i + 1]
        if token.kind != "name" or token.directive:
            continue
        if after.text == "(" and not _defines_function(tokens, i + 1):
            continue
        if after.text in ("=", ";", ",", "[", ")", ":", "(") and _follows_type(tokens, i):
            found.add(token.text)
    return found


def global_variables(tokens: Sequence[Token]) -> set[str]:
    """Return the variables that the text defines at file scope, const ones included."""
    found: set[str] = set()
    for statement in _file_scope(tokens):
        head = [token for token in statement if not token.directive]
        if not head or head[0].text in ("typedef", "extern") or head[-1].text == ")":
            continue
        end = next((i for i, t in enumerate(head) if t.text in ("=", "[", "(")), len(head))
        if end < len(head) and head[end].text == "(":
            continue
        if end > 1 and head[end - 1].kind == "name" and _follows_type(head, end - 1):
            found.add(head[end - 1].text)
    return found


def stored_types(tokens: Sequence[Token]) -> set[str]:
    """Return the types that are stored by value: in maps and in the members of structs."""
    found: set[str] = set()
    for i, token in enumerate(tokens[:-1]):
        if token.text in MACROS and tokens[i + 1].text == "(":
            split = arguments(tokens, i + 1)
            for part in split[0] if split else ():
                found |= _by_value(part)
        elif token.text == "typedef":
            end = next((j for j in range(i, len(tokens)) if tokens[j].text in (";", "{")), i)
            found |= _by_value(tokens[i:end])
        elif token.text in ("struct", "union"):
            opening = next((j for j in (i + 1, i + 2) if _is(tokens, j, "{")), None)
            if opening is not None:
                found |= _by_value(tokens[opening : closing(tokens, opening) or len(tokens)])
    return found


# --- details -------------------------------------------------------------------------------------


def _is(tokens: Sequence[Token], i: int, text: str) -> bool:
    return i < len(tokens) and tokens[i].text == text


def _typedef_name(tokens: Sequence[Token], i: int) -> set[str]:
    name = ""
    while i < len(tokens) and tokens[i].text != ";":
        if tokens[i].text == "{":
            i = closing(tokens, i) or len(tokens)
        elif tokens[i].text == "[":
            break
        elif tokens[i].kind == "name":
            name = tokens[i].text
        i += 1
    return {name} if name else set()


def _follows_type(tokens: Sequence[Token], i: int) -> bool:
    """Return whether a type's name, and perhaps stars, precede token `i`."""
    j = i - 1
    while j > 0 and tokens[j].text == "*":
        j -= 1
    before = tokens[j]
    if before.kind != "name" or before.directive or before.text in _NOT_A_TYPE:
        return False
    if j < i - 1:  # `a * b;` multiplies unless a statement or a parameter begins with `a`
        start = j
        while start > 0 and tokens[start - 1].text in _QUALIFIERS:
            start -= 1
        if start > 0 and tokens[start - 1].text not in (";", "{", "}", "(", ","):
            return False
    return before.text.islower() or before.text.endswith("_t") or tokens[j - 1].text in TAGS


def _defines_function(tokens: Sequence[Token], opening: int) -> bool:
    end = closing(tokens, opening)
    return end is not None and _is(tokens, end + 1, "{")


def _file_scope(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield the declarations at file scope, without what is in braces."""
    statement: list[Token] = []
    i = 0
    while i < len(tokens):
        text = tokens[i].text if tokens[i].kind == "punct" and not tokens[i].directive else ""
        if text == "{":
            i = closing(tokens, i) or len(tokens)
            if statement and statement[-1].text == ")":  # a function's body
                statement = []
        elif text == ";":
            yield statement
            statement = []
        else:
            statement.append(tokens[i])
        i += 1


def _by_value(tokens: Sequence[Token]) -> set[str]:
    found: set[str] = set()
    for i, token in enumerate(tokens):
        tagged = i > 0 and tokens[i - 1].text in ("struct", "union")
        is_type = tagged or token.text.endswith("_t")
        if token.kind == "name" and is_type and not _is(tokens, i + 1, "*"):
            found.add(token.text)
    return found
