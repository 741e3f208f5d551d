"""Stacks as a pprof profile: a gzipped protocol buffer. The receipt is its comment.

Source: proto/profile.proto of google/pprof.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from kernelscope.analysis import readings, stack_tree
from kernelscope.analysis.measure import unknown_column
from kernelscope.errors import AnalysisError
from kernelscope.io.atomic_write import PathLike, write_bytes
from kernelscope.tables.attrs import receipt_of
from kernelscope.units import NANOSECONDS


def to_pprof(df: pd.DataFrame, path: PathLike, value: str | None = None, title: str = "") -> Path:
    """Write a table with stacks as a gzipped pprof profile. Returns the path.

    value: the column that is added up: "count", or a duration ("total_us" becomes nanoseconds); by
    default the one of the probe. title: a comment. A process's name is the root frame. Raises
    AnalysisError where the table has no stacks.
    """
    kinds = stack_tree.stack_columns(df)
    if not kinds:
        raise AnalysisError(
            "the table has no stacks", hint="%ebpf profile has some", column="user_stack"
        )
    df = readings.last(df)
    value = value or stack_tree.value_of(df)
    if value not in df.columns and value != "count":
        raise unknown_column(df, value)
    profile = _Profile()
    unit = value.rpartition("_")[2]
    scale = NANOSECONDS.get(unit, 1)
    name = "samples" if value == "count" else value.removesuffix(f"_{unit}")
    profile.message(1, _value_type(profile, name, unit in NANOSECONDS))
    amounts = df[value].fillna(0).tolist() if value in df.columns else [1] * len(df)
    roots = (
        [[name] for name in df["comm"].astype("str")] if "comm" in df.columns else [[]] * len(df)
    )
    stacks = zip(*(df[name].astype("str") for name in kinds), strict=True)
    for amount, root, parts in zip(amounts, roots, stacks, strict=True):
        frames = [frame for part in parts for frame in part.split(";") if frame]
        profile.sample([*root, *frames], round(amount * scale))
    return write_bytes(path, gzip.compress(profile.finish(receipt_of(df), title)))


def _value_type(profile: _Profile, name: str, is_time: bool) -> bytes:
    unit = "nanoseconds" if is_time else "count"
    return _field(1, profile.text(name)) + _field(2, profile.text(unit))


class _Profile:
    """A profile that is being built; it refers to texts and functions by number."""

    def __init__(self) -> None:
        self._out = bytearray()
        self._texts: dict[str, int] = {"": 0}
        self._functions: dict[str, int] = {}

    def text(self, text: str) -> int:
        """Return a text's place in the table of texts."""
        return self._texts.setdefault(text, len(self._texts))

    def message(self, number: int, body: bytes) -> None:
        """Add a field that is a message."""
        self._out += _bytes(number, body)

    def sample(self, frames: list[str], amount: int) -> None:
        """Add one sample; frames: root first."""
        places = b"".join(_varint(self._location(frame)) for frame in reversed(frames))
        self.message(2, _bytes(1, places) + _bytes(2, _varint(amount)))

    def _location(self, name: str) -> int:
        """Return a function's location; both have one number."""
        if name not in self._functions:
            number = self._functions[name] = len(self._functions) + 1
            self.message(5, _field(1, number) + _field(2, self.text(name)))
            line = _field(1, number)
            self.message(4, _field(1, number) + _bytes(4, line))
        return self._functions[name]

    def finish(self, receipt: Mapping[str, Any], title: str) -> bytes:
        """Return the whole profile, with the title and the receipt as its comments."""
        comments = [text for text in (title, json.dumps(receipt, default=str)) if text]
        comment = b"".join(_field(13, self.text(text)) for text in comments)
        started = receipt.get("started")
        start_ns = int(pd.Timestamp(str(started)).value) if started else 0
        duration_ns = round(float(receipt.get("duration_s") or 0) * 1e9)
        texts = b"".join(_bytes(6, text.encode()) for text in self._texts)
        return bytes(self._out) + texts + _field(9, start_ns) + _field(10, duration_ns) + comment


def _varint(number: int) -> bytes:
    """Return a number as protocol buffers write it: seven bits a byte, the lowest first."""
    if number < 0:
        number += 1 << 64
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body
