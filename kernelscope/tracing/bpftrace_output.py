"""What bpftrace -f json prints, as typed tables: one for each map, and one of its printf lines.

A map's keys become columns named after the expressions in the script's brackets
(`@reads[comm, pid]`: comm, pid); bpftrace itself joins them with commas. A histogram has the same
shape as KernelScope's own: value_low, value_high (exclusive) and count. Lines of a single printf
become rows, with a column for each conversion; if a script has several, they stay text.

Source: docs/output_json.md and src/output.cpp of bpftrace.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from kernelscope.protocol.c_tokens import Token, arguments, scan

_HISTOGRAMS = ("hist", "lhist")
_STACKS = {"kstack": "kernel_stack", "ustack": "user_stack"}
_NUMBERS = {"pid", "tid", "uid", "gid", "cpu", "nsecs", "elapsed", "retval", "cgroup", "rand"}
_CONVERSION = re.compile(r"%(?P<percent>%)|%-?\d*(?P<kind>l{0,2}[diuxX]|s|r|c|p)")
_NAME = re.compile(r"[A-Za-z_]\w*\Z")
_LARGEST = 2**63 - 1


@dataclass
class Output:
    """What a script gave: its tables by name, lost events, and what else it said."""

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    lost: int = 0
    attached: int = 0


def read(lines: Iterable[str], script: str) -> Output:
    """Make tables of bpftrace's lines of JSON; of a map printed often, its last state."""
    output = Output()
    tokens = scan(script)
    maps: dict[str, tuple[str, Any]] = {}
    texts: list[str] = []
    for line in lines:
        message = _message(line)
        kind, data = message.get("type"), message.get("data", {})
        if kind == "attached_probes":
            output.attached = int(data["probes"])
        elif kind == "lost_events":
            output.lost += int(data["events"])
        elif kind == "printf":
            texts.append(str(data))
        elif isinstance(data, dict):
            maps.update({name: (str(kind), value) for name, value in data.items()})
    keys = _keys(tokens)
    for name, (kind, value) in maps.items():
        output.tables[name.removeprefix("@") or "map"] = _table(kind, value, keys.get(name, []))
    if texts:
        output.tables["printf"] = _lines(texts, tokens)
    return output


def _message(line: str) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        return {}  # its output has empty lines, and what other programs print there
    return message if isinstance(message, dict) else {"type": "other"}


# --- maps ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Key:
    """One part of a map's key: its column, and what its text looks like."""

    column: str
    pattern: str


def _keys(tokens: Sequence[Token]) -> dict[str, list[_Key]]:
    """Return the parts of each map's key, from the first place where the script names them."""
    found: dict[str, list[_Key]] = {}
    for i, token in enumerate(tokens):
        if token.text != "@":
            continue
        named = i + 1 < len(tokens) and tokens[i + 1].kind == "name" and not _apart(tokens, i)
        name = f"@{tokens[i + 1].text}" if named else "@"
        opening = i + 1 + named
        if name in found or opening >= len(tokens) or tokens[opening].text != "[":
            continue
        split = arguments(tokens, opening)
        if split is not None:
            found[name] = _distinct([_key(part, n) for n, part in enumerate(split[0])])
    return found


def _apart(tokens: Sequence[Token], i: int) -> bool:
    return tokens[i].end != tokens[i + 1].start


def _key(part: Sequence[Token], number: int) -> _Key:
    """Say what one expression between a map's brackets is called and looks like."""
    words = [token for token in part if token.kind == "name"]
    first = part[0].text if part else ""
    if len(part) == 1 and part[0].kind == "string":
        return _Key(f"key{number + 1}", re.escape(first.strip('"')))
    if first in _STACKS:
        # There may be none, as a sample in a program has no kernel stack.
        return _Key(_STACKS[first], r"(?:(?:\n[^\n]*)*?\n)?")
    if len(part) == 1 and (first in _NUMBERS or part[0].kind == "number" or _is_argument(first)):
        return _Key(first if _NAME.match(first) else f"key{number + 1}", r"-?\d+")
    column = words[-1].text if words else f"key{number + 1}"
    return _Key(column, r"(?s:.*)")


def _is_argument(word: str) -> bool:
    return re.match(r"s?arg\d+\Z", word) is not None


def _distinct(keys: list[_Key]) -> list[_Key]:
    names = [key.column for key in keys]
    return [
        _Key(f"{key.column}{n + 1}" if names.count(key.column) > 1 else key.column, key.pattern)
        for n, key in enumerate(keys)
    ]


def _table(kind: str, value: Any, keys: list[_Key]) -> pd.DataFrame:
    if not isinstance(value, dict) or (kind == "stats" and "average" in value):
        return pd.DataFrame(_rows(kind, value))
    rows = [
        {**_parts(text, keys), **row} for text, item in value.items() for row in _rows(kind, item)
    ]
    return _typed(pd.DataFrame(rows))


def _parts(text: str, keys: list[_Key]) -> dict[str, str]:
    """Take a key apart into its columns; one column "key" where that cannot be done."""
    pattern = ",".join(f"({key.pattern})" for key in keys)
    match = re.fullmatch(pattern, text) if keys else None
    if match is None:
        return {"key": text}
    return {
        key.column: _folded(part) if key.column.endswith("_stack") else part
        for key, part in zip(keys, match.groups(), strict=True)
    }


def _folded(stack: str) -> str:
    """Return a stack as KernelScope writes it: root first, ";" between frames, no offsets."""
    frames = [re.sub(r"\+\d+\Z", "", line.strip()) for line in stack.strip().splitlines()]
    return ";".join(reversed(frames))


def _rows(kind: str, value: Any) -> list[dict[str, Any]]:
    """Return the value columns of one key: one row, or one for each of a histogram's buckets."""
    if kind in _HISTOGRAMS or (isinstance(value, list) and value and isinstance(value[0], dict)):
        return [_bucket(bucket) for bucket in value if bucket.get("count")]
    if isinstance(value, dict):
        return [{"count": value["count"], "average": value["average"], "total": value["total"]}]
    if isinstance(value, list):
        return [{f"value{n + 1}": part for n, part in enumerate(value)}]
    return [{"average" if kind == "stats" else "value": value}]


def _bucket(bucket: Mapping[str, int]) -> dict[str, int]:
    """Return one bucket; those at a linear histogram's ends are open."""
    low = bucket.get("min", -_LARGEST)
    high = min(bucket["max"] + 1, _LARGEST) if "max" in bucket else _LARGEST
    return {"value_low": low, "value_high": high, "count": bucket["count"]}


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Make numbers of the columns of text that hold nothing else."""
    for name in table.columns:
        texts = table[name]
        if pd.api.types.is_string_dtype(texts) and texts.str.fullmatch(r"-?\d{1,18}").all():
            table[name] = texts.astype("int64")
    return table


# --- printf --------------------------------------------------------------------------------------


def _lines(texts: list[str], tokens: Sequence[Token]) -> pd.DataFrame:
    """Return printf's lines as rows; their parts as columns where one format made them all."""
    formats = _formats(tokens)
    if len(formats) == 1:
        pattern, columns = _pattern(*formats[0])
        matches = [re.fullmatch(pattern, text) for text in texts]
        if columns and all(matches):
            rows = [match.groups() for match in matches if match]
            return _typed(pd.DataFrame(rows, columns=columns))
    return pd.DataFrame({"line": [text.removesuffix("\n") for text in texts]})


def _formats(tokens: Sequence[Token]) -> list[tuple[str, list[Sequence[Token]]]]:
    """Return the format and the values of each printf in the script."""
    found = []
    for i, token in enumerate(tokens[:-1]):
        if token.text != "printf" or tokens[i + 1].text != "(":
            continue
        split = arguments(tokens, i + 1)
        if split is not None and split[0] and split[0][0][0].kind == "string":
            found.append((json.loads(split[0][0][0].text), list(split[0][1:])))
    return found


def _pattern(text: str, values: list[Sequence[Token]]) -> tuple[str, list[str]]:
    """Return what a format's lines look like, and a column for each of its conversions."""
    pattern, at, kinds = "", 0, []
    for match in _CONVERSION.finditer(text):
        pattern += re.escape(text[at : match.start()])
        at = match.end()
        if match["percent"]:
            pattern += "%"
            continue
        number = match["kind"][-1] in "diu"
        pattern += r"\s*(-?\d+)\s*" if number else r"((?s:.*?))"
        kinds.append(match["kind"])
    keys = _distinct([_key(part, n) for n, part in enumerate(values)])
    columns = [
        _before(text, n) or re.sub(r"\Akey(?=\d+\Z)", "value", key.column)
        for n, key in enumerate(keys)
    ]
    if len(columns) != len(kinds) or len(set(columns)) != len(columns):
        return "", []
    return pattern + re.escape(text[at:]), columns


def _before(text: str, number: int) -> str:
    """Return the name that a format gives a value itself: "pid=%d"."""
    conversions = [m for m in _CONVERSION.finditer(text) if not m["percent"]]
    match = re.search(r"([A-Za-z_]\w*)=\Z", text[: conversions[number].start()])
    return match[1] if match and number < len(conversions) else ""
