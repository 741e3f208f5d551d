"""Raw bytes as the agent sends them, made by hand: ring records, perf samples, map readings."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from kernelscope.protocol.frames import Frame
from kernelscope.protocol.layout import Field, Layout

BUSY = 1 << 31
DISCARDED = 1 << 30
CLOCK = {"monotonic_ns": 1_000, "realtime_ns": 1_700_000_000_000_001_000}
OFFSET_NS = 1_700_000_000_000_000_000

EVENT = Layout(
    "events",
    "ring",
    value=(
        Field("ts", "u64", 0, 8),
        Field("pid", "u32", 8, 4),
        Field("ret", "s32", 12, 4),
        Field("comm", "char", 16, 16, 16),
    ),
    value_size=32,
    record_size=32,
)


def event(ts: int, pid: int, ret: int, comm: bytes) -> bytes:
    return struct.pack("<QIi16s", ts, pid, ret, comm)


def ring(records: Iterable[bytes | tuple[bytes, int]]) -> bytes:
    """Pack records as a ring buffer holds them; a tuple's second item is its header's flags."""
    out = bytearray()
    for item in records:
        data, flags = item if isinstance(item, tuple) else (item, 0)
        out += struct.pack("<II", len(data) | flags, 7) + data
        out += bytes(-len(out) % 8)
    return bytes(out)


def ring_batch(records: Sequence[bytes], stride: int, table: str = "events") -> Frame:
    header = {"type": "batch", "table": table, "form": "ring", "stride": stride, "at_ns": 1}
    return Frame(header, ring(records))


def sample(pid: int, tid: int, time: int, cpu: int, data: bytes) -> bytes:
    raw = struct.pack("<I", len(data)) + data
    raw += bytes(-len(raw) % 8)
    raw = struct.pack("<I", len(raw) - 4) + raw[4:]  # the kernel counts the padding as data
    body = struct.pack("<IIQII", pid, tid, time, cpu, 0) + raw
    return struct.pack("<IHH", 9, 0, 8 + len(body)) + body


def lost(count: int) -> bytes:
    return struct.pack("<IHHQQ", 2, 0, 24, 5, count)


def perf_batch(payload: bytes, table: str = "events", cpu: int = 0) -> Frame:
    return Frame({"type": "batch", "table": table, "form": "perf", "cpu": cpu}, payload)


def reading(
    table: str, keys: Sequence[bytes], values: Sequence[bytes], at_ns: int = 1, **header: object
) -> Frame:
    fields = {"type": "map", "table": table, "at_ns": at_ns, "part": 0, "last": True}
    return Frame(
        {**fields, "final": True, "count": len(keys), **header}, b"".join(keys) + b"".join(values)
    )
