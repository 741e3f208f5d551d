"""The lines of bpf_trace_printk: from records of their arguments, or as the kernel wrote them.

The agent rewrites a program's calls to send their arguments through a ring buffer
(agent/source/printk.py); where it cannot, the lines come from the tracepoint
bpf_trace:bpf_trace_printk.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from kernelscope.probe.model import Column
from kernelscope.protocol.printk import CONVERSION
from kernelscope.tables import column_decoders as decoders
from kernelscope.tables import records
from kernelscope.tables.records import Array
from kernelscope.tables.rows import Rows
from kernelscope.tables.store import Batch
from kernelscope.tables.strings import Values, spell, text_of

# A tracepoint's common fields take 8 bytes; then comes __data_loc: offset and length, 16 bits each.
_DATA_LOC = struct.Struct("<8xHH")
_IN_PYTHON = {"i": "d", "u": "d", "p": "s", "c": "s"}


def columns(batches: Sequence[tuple[Batch, int]], context: decoders.Context) -> dict[str, Any]:
    """Return the columns time, cpu, pid, tid and message, in order of time."""
    chosen = [(batch, batch.samples, skip) for batch, skip in batches if batch.samples]
    fields = {
        "time": [samples.time[skip:] for _, samples, skip in chosen],
        "cpu": [samples.cpu[skip:] for _, samples, skip in chosen],
        "pid": [samples.pid[skip:] for _, samples, skip in chosen],
        "tid": [samples.tid[skip:] for _, samples, skip in chosen],
    }
    joined = {name: np.concatenate([np.empty(0, "<u4"), *parts]) for name, parts in fields.items()}
    order = np.argsort(joined["time"], kind="stable")
    width = max((int(samples.records.lengths.max()) for _, samples, _ in chosen), default=1)
    raw = [
        records.gather(batch.payload, samples.records, width)[skip:]
        for batch, samples, skip in chosen
    ]
    lines = np.concatenate([np.empty((0, width), np.uint8), *raw])[order]
    time = decoders.Source(joined.pop("time")[order], Column("time", "time"), context)
    return {
        **decoders.decode(time),
        **{name: values[order] for name, values in joined.items()},
        "message": spell(lines, _message),
    }


def ring_columns(
    rows: Rows, formats: Sequence[str], context: decoders.Context
) -> dict[str, Values]:
    """Return the columns time, cpu, pid, tid and message of records (struct ks_printk_t)."""
    order = np.argsort(rows.require("at_ns"), kind="stable")
    names = ("at_ns", "cpu", "task", "site", "args", "text0", "text1", "text2")
    at_ns, cpu, task, site, *arguments = (rows.require(name)[order] for name in names)
    time = decoders.Source(at_ns, Column("time", "time"), context)
    lines = np.concatenate([_bytes_of(values) for values in (site, *arguments)], axis=1)
    printers = [_Printer(text) for text in formats]
    return {
        **decoders.decode(time),
        "cpu": cpu,
        "pid": (task >> np.uint64(32)).astype(np.uint32),
        "tid": task.astype(np.uint32),
        "message": spell(lines, lambda raw: _line(printers, raw)),
    }


def _line(printers: Sequence[_Printer], raw: bytes) -> str:
    return printers[raw[0]](raw) if raw[0] < len(printers) else ""


def _bytes_of(values: Array) -> Array:
    whole = np.ascontiguousarray(values)
    return whole.view(np.uint8).reshape(len(whole), whole[:1].nbytes or 1)


class _Printer:
    """Formats one call's records: u32 site, u64 args[3], three texts of 64 bytes."""

    _ARGS = struct.Struct("<4x3Q64s64s64s")

    def __init__(self, format_text: str) -> None:
        self._conversions = [m for m in CONVERSION.finditer(format_text) if m.group(1) != "%"]
        self._pattern = CONVERSION.sub(_in_python, format_text).rstrip("\n")

    def __call__(self, raw: bytes) -> str:
        """Return the line."""
        values = self._ARGS.unpack(raw)
        return self._pattern % tuple(
            _argument(conversion, values[index], values[3 + index])
            for index, conversion in enumerate(self._conversions)
        )


def _in_python(conversion: re.Match[str]) -> str:
    """Return a C conversion in the form of Python's %."""
    letter = conversion.group(1)
    if letter == "%":
        return "%%"
    flags = re.sub(r"[hlzjt]", "", conversion.group()[1:-1])
    return f"%{flags}{_IN_PYTHON.get(letter, letter)}"


def _argument(conversion: re.Match[str], number: int, text: bytes) -> int | str:
    letter = conversion.group(1)
    if letter == "s":
        return text_of(text)
    if letter == "p":
        return f"{number:#x}"
    if letter == "c":
        return chr(number & 0xFF)
    bits = 64 if re.search(r"[lzjt]", conversion.group()[:-1]) else 32
    number &= (1 << bits) - 1
    return number - (1 << bits) if letter in "di" and number >> (bits - 1) else number


def _message(raw: bytes) -> str:
    if len(raw) < _DATA_LOC.size:
        return ""
    start, length = _DATA_LOC.unpack_from(raw)
    return text_of(raw[start : start + length]).rstrip("\n")
