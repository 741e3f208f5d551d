"""The lines of bpf_trace_printk, as the tracepoint bpf_trace:bpf_trace_printk carries them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from kernelscope import columns as kinds
from kernelscope import decode
from kernelscope.probe import Column
from kernelscope.store import Batch

# A tracepoint's common fields take 8 bytes; then comes __data_loc: offset and length, 16 bits each.
_DATA_LOC = struct.Struct("<8xHH")


def printk_columns(batches: Sequence[tuple[Batch, int]], context: kinds.Context) -> dict[str, Any]:
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
        decode.gather(batch.payload, samples.records, width)[skip:]
        for batch, samples, skip in chosen
    ]
    lines = np.concatenate([np.empty((0, width), np.uint8), *raw])[order]
    time = kinds.Source(joined.pop("time")[order], Column("time", "time"), context)
    return {
        **kinds.decode(time),
        **{name: values[order] for name, values in joined.items()},
        "message": kinds.spell(lines, _message),
    }


def _message(raw: bytes) -> str:
    if len(raw) < _DATA_LOC.size:
        return ""
    start, length = _DATA_LOC.unpack_from(raw)
    return kinds.text_of(raw[start : start + length]).rstrip("\n")
