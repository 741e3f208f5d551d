"""Where the keys of a table come from: the slots of a histogram, the ids of stacks."""

from __future__ import annotations

from collections.abc import Sequence

from kernelscope.agent.source.functions import functions
from kernelscope.agent.source.table_declarations import function_around
from kernelscope.protocol.c_tokens import Token, names

_STACK_ID = ("get_stackid", "bpf_get_stackid")
_PLAIN = frozenset(("(", ")", "*", "&", ".", "->", ",", "u8", "u16", "u32", "u64", "int", "long"))

Key = tuple[int, Sequence[Token]]
"""One use of a table: its place among the tokens, and its key."""


def is_log2(tokens: Sequence[Token], keys: Sequence[Key]) -> bool:
    """Return whether a histogram's slots are powers of two: results of bpf_log2l or the like."""
    sources = _log2_functions(tokens)
    return any(_comes_from(tokens, at, key, sources) for at, key in keys)


def unclear_function(tokens: Sequence[Token], keys: Sequence[Key]) -> str:
    """Return the program's function that computes a histogram's slots, "" if none does."""
    known = {_name(tokens, f.head, f.opening) for f in functions(tokens)}
    for at, key in keys:
        calls = {a.text for a, b in zip(key, key[1:]) if b.text == "(" and a.text in known}
        if calls:
            return min(calls)
        for name in sorted(known):
            if _comes_from(tokens, at, key, {name}):
                return name
    return ""


def is_stack_id(tokens: Sequence[Token], keys: Sequence[Key]) -> bool:
    """Return whether the whole keys are stack ids."""
    return bool(keys) and all(_comes_from(tokens, at, key, set(_STACK_ID)) for at, key in keys)


def looked_up(tokens: Sequence[Token], at: int, data: Sequence[Token]) -> set[str]:
    """Return the tables whose entry `data` points to: `data = table.lookup(...)`."""
    found: set[str] = set()
    for statement in _statements(function_around(tokens, at)):
        targets, value = _assignment(statement)
        texts = [token.text for token in value]
        if targets & names(data) and texts[1:3] == [".", "lookup"]:
            found.add(texts[0])
    return found


def _log2_functions(tokens: Sequence[Token]) -> set[str]:
    """Return functions and macros whose result is a power of two's exponent."""
    found = {token.text for token in tokens if "log2" in token.text.lower()}
    found |= {"bpf_log2", "bpf_log2l"}
    for before, token in zip(tokens, tokens[1:]):
        if before.text == "define" and before.directive and _macro_body(tokens, token) & found:
            found.add(token.text)
    for function in functions(tokens):
        body = tokens[function.opening : function.end]
        for statement in _statements(body):
            texts = [token.text for token in statement]
            if "return" in texts and names(statement[texts.index("return") :]) & found:
                found.add(_name(tokens, function.head, function.opening))
    return found


def _macro_body(tokens: Sequence[Token], name: Token) -> set[str]:
    at = list(tokens).index(name)
    body = []
    for token in tokens[at + 1 :]:
        if not token.directive or token.kind == "hash":
            break
        body.append(token)
    return names(body)


def _name(tokens: Sequence[Token], head: int, opening: int) -> str:
    for i in range(head, opening):
        if tokens[i + 1].text == "(" and tokens[i].kind == "name":
            return tokens[i].text
    return ""


def _comes_from(tokens: Sequence[Token], at: int, key: Sequence[Token], sources: set[str]) -> bool:
    """Return whether a key is the result of one of `sources`, directly or through variables."""
    if names(key) & sources:
        return True
    results: set[str] = set()
    for statement in _statements(function_around(tokens, at)):
        targets, value = _assignment(statement)
        value_names = names(value)
        copied = value_names & results and all(
            token.kind == "name" or token.text in _PLAIN for token in value
        )
        if value_names & sources or copied:
            results |= targets
    return bool(names(key) & results)


def _statements(body: Sequence[Token]) -> list[list[Token]]:
    """Return the statements of a body; of `u64 a = x, b = y;` each part is one."""
    found: list[list[Token]] = [[]]
    depth = 0
    for token in body:
        if token.text in ("(", "["):
            depth += 1
        elif token.text in (")", "]"):
            depth -= 1
        ends = token.text == ";" or (token.text == "," and depth == 0)
        if ends and not _inside_braces(found[-1]):
            found.append([])
        else:
            found[-1].append(token)
    return found


def _inside_braces(statement: Sequence[Token]) -> bool:
    """Return whether an initializer's brace is open: `struct k k = {.slot = ...,`."""
    texts = [token.text for token in statement]
    opened = [i for i, text in enumerate(texts) if text == "{" and i and texts[i - 1] == "="]
    return bool(opened) and texts[opened[-1] :].count("{") > texts[opened[-1] :].count("}")


def _assignment(statement: Sequence[Token]) -> tuple[set[str], Sequence[Token]]:
    """Return the names that a statement assigns to, and the value."""
    for i, token in enumerate(statement):
        if token.text == "=":
            target = list(statement[:i])
            start = max((j for j, t in enumerate(target) if t.text in ("{", "}", ")")), default=-1)
            return names(target[start + 1 :]), statement[i + 1 :]
    return set(), ()
