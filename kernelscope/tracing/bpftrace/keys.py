"""The keys of a script's maps, as columns.

bpftrace joins the parts of a key with commas and prints all of them as text. The text in the
script's brackets (`@reads[comm, pid]`) names the columns and separates numbers from text. Where a
key could be split in two ways, the whole key stays one column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from kernelscope.protocol.c_tokens import Token, arguments
from kernelscope.tracing.bpftrace.c_strings import unescaped

_STACKS = {"kstack": "kernel_stack", "ustack": "user_stack"}
_NUMBERS = {"pid", "tid", "uid", "gid", "cpu", "nsecs", "elapsed", "retval", "cgroup", "rand"}
_TEXTS = {"comm", "func", "probe", "username"}
_ARGUMENT = re.compile(r"s?arg\d+\Z")
_NAME = re.compile(r"[A-Za-z_]\w*\Z")
_INTEGER = re.compile(r"-?\d+\Z")


@dataclass(frozen=True)
class Key:
    """One part of a key. kind: "number", "field" (a number, or text), "text", "stack", "literal".

    column: "" where the script gives it no name. literals: the values of a literal.
    """

    column: str
    kind: str
    literals: tuple[str, ...] = ()


def of_expression(part: Sequence[Token]) -> Key:
    """Return what one expression between a map's brackets is called, and what it prints."""
    words = [token.text for token in part if token.kind == "name"]
    first = part[0].text if part else ""
    if len(part) == 1 and part[0].kind == "string":
        return Key("", "literal", (unescaped(first),))
    if len(part) == 1 and part[0].kind == "number":
        return Key("", "literal", (first,))
    if first in _STACKS:
        return Key(_STACKS[first], "stack")
    column = _map_in(part) or (words[-1] if words and _NAME.match(words[-1]) else "")
    if len(part) == 1 and (first in _NUMBERS or _ARGUMENT.match(first)):
        return Key(first, "number")
    if len(part) == 1 and first in _TEXTS:
        return Key(first, "text")
    called = any(token.text == "(" for token in part)
    return Key(column, "text" if called else "field")


def _map_in(part: Sequence[Token]) -> str:
    """Return the map that an expression reads: str(@filename[tid]) is a filename."""
    for token, following in pairwise(part):
        if token.text == "@" and following.kind == "name" and token.end == following.start:
            return following.text
    return ""


def of_script(tokens: Sequence[Token]) -> dict[str, list[Key]]:
    """Return the parts of each map's key, from every place where the script uses the map."""
    places: dict[str, list[list[Key]]] = {}
    for i, token in enumerate(tokens):
        if token.text != "@":
            continue
        named = i + 1 < len(tokens) and tokens[i + 1].kind == "name" and not _apart(tokens, i)
        name = f"@{tokens[i + 1].text}" if named else "@"
        opening = i + 1 + named
        if opening >= len(tokens) or tokens[opening].text != "[":
            continue
        split = arguments(tokens, opening)
        if split is not None:
            places.setdefault(name, []).append([of_expression(part) for part in split[0]])
    found = {}
    for name, lists in places.items():
        if len({len(each) for each in lists}) == 1:
            found[name] = distinct([_merged(parts) for parts in zip(*lists, strict=True)])
    return found


def without_keys(tokens: Sequence[Token]) -> set[str]:
    """Return the maps that the script uses, and never with brackets."""
    bare: set[str] = set()
    keyed: set[str] = set()
    for i, token in enumerate(tokens):
        if token.text != "@":
            continue
        named = i + 1 < len(tokens) and tokens[i + 1].kind == "name" and not _apart(tokens, i)
        name = f"@{tokens[i + 1].text}" if named else "@"
        after = i + 1 + named
        in_brackets = after < len(tokens) and tokens[after].text == "["
        (keyed if in_brackets else bare).add(name)
    return bare - keyed


def distinct(keys: Sequence[Key]) -> list[Key]:
    """Return the keys with columns that have names, each its own."""
    single = len(keys) == 1
    named = [
        key.column or ("key" if single else f"key{number + 1}") for number, key in enumerate(keys)
    ]
    return [
        Key(f"{name}{number + 1}" if named.count(name) > 1 else name, key.kind, key.literals)
        for number, (name, key) in enumerate(zip(named, keys, strict=True))
    ]


def split(texts: Iterable[str], keys: Sequence[Key]) -> list[dict[str, Any]] | None:
    """Return each key's columns; None where one does not match, or could be split in two ways."""
    texts = list(texts)
    for numeric_fields in (True, False):
        found = [_columns(text, keys, numeric_fields) for text in texts]
        if None not in found:
            return [each for each in found if each is not None]
    return None


def whole(texts: Iterable[str]) -> list[dict[str, Any]]:
    """Return each key as one column, which was not split."""
    return [{"key": text} for text in texts]


def folded(stack: str) -> str:
    """Return a stack as KernelScope writes it: root first, ";" between frames, no offsets."""
    frames = [re.sub(r"\+\d+\Z", "", line.strip()) for line in stack.strip().splitlines()]
    return ";".join(frame.replace(";", ":") for frame in reversed(frames))


def _apart(tokens: Sequence[Token], i: int) -> bool:
    return tokens[i].end != tokens[i + 1].start


def _merged(parts: Sequence[Key]) -> Key:
    """Return one part of a key from all places: a literal in one may be a name in another."""
    literals = tuple(dict.fromkeys(text for part in parts for text in part.literals))
    others = [part for part in parts if part.kind != "literal"]
    if not others:
        numbers = all(_INTEGER.match(text) for text in literals)
        return Key("", "number" if numbers else "literal", literals)
    kinds = {part.kind for part in others}
    kind = kinds.pop() if len(kinds) == 1 else "field" if "stack" not in kinds else "text"
    if any(not _INTEGER.match(text) for text in literals):
        kind = "text"
    return Key(others[0].column, kind, literals)


def _columns(text: str, keys: Sequence[Key], numeric_fields: bool) -> dict[str, Any] | None:
    ways = []
    for greedy in ("", "?"):
        pattern = ",".join(f"({_pattern(key, greedy, numeric_fields)})" for key in keys)
        match = re.fullmatch(pattern, text)
        if match is None:
            return None
        ways.append(match.groups())
    if ways[0] != ways[1]:
        return None
    return {
        key.column: _value(part, key, numeric_fields)
        for key, part in zip(keys, ways[0], strict=True)
    }


def _pattern(key: Key, greedy: str, numeric_fields: bool) -> str:
    if key.kind == "literal":
        return "|".join(re.escape(text) for text in key.literals)
    if key.kind == "stack":
        # There may be none, as a sample in a program has no kernel stack.
        return r"(?:(?:\n[^\n]*)*?\n)?"
    if _is_number(key, numeric_fields):
        return r"-?\d+"
    return f"(?s:.*{greedy})"


def _value(part: str, key: Key, numeric_fields: bool) -> Any:
    if key.kind == "stack":
        return folded(part)
    return int(part) if _is_number(key, numeric_fields) else part


def _is_number(key: Key, numeric_fields: bool) -> bool:
    return key.kind == "number" or (key.kind == "field" and numeric_fields)


def growing(tokens: Sequence[Token]) -> Mapping[str, str]:
    """Return the maps that only grow, and how: "count", "sum", "hist", "lhist" or "stats"."""
    found: dict[str, str] = {}
    for i, token in enumerate(tokens):
        if token.text in ("count", "sum", "hist", "lhist", "stats") and i and _assigns(tokens, i):
            found[_map_before(tokens, i - 1)] = token.text
        elif token.text == "++" and i:
            found[_map_before(tokens, i)] = "count"
    for name in _emptied(tokens):
        found.pop(name, None)
    found.pop("", None)
    return found


def _assigns(tokens: Sequence[Token], i: int) -> bool:
    return tokens[i - 1].text == "=" and i + 1 < len(tokens) and tokens[i + 1].text == "("


def _emptied(tokens: Sequence[Token]) -> set[str]:
    """Return the maps that the script clears, zeroes or deletes from."""
    found = set()
    for i, token in enumerate(tokens[:-3]):
        if token.text in ("clear", "zero", "delete") and tokens[i + 2].text == "@":
            named = tokens[i + 3].kind == "name"
            found.add(f"@{tokens[i + 3].text}" if named else "@")
    return found


def _map_before(tokens: Sequence[Token], end: int) -> str:
    """Return the map whose use ends before `end`: @x, or @x[...]; "" if there is none."""
    i = end - 1
    if i >= 0 and tokens[i].text == "]":
        depth = 1
        while depth and i > 0:
            i -= 1
            depth += {"]": 1, "[": -1}.get(tokens[i].text, 0)
        i -= 1
    if i >= 1 and tokens[i].kind == "name" and tokens[i - 1].text == "@":
        return f"@{tokens[i].text}"
    return "@" if i >= 0 and tokens[i].text == "@" else ""
