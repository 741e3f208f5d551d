"""Keeps what a run has sent, raw and within a bound, until a table is needed.

`RecordStore` keeps a ring's or a perf buffer's batches, `MapStore` a map's readings. Both drop
their oldest part first. Nothing is decoded here, so that taking a frame is cheap; only records of
differing length are located, because the bound counts them.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kernelscope.protocol.frames import Frame
from kernelscope.protocol.layout import Layout
from kernelscope.tables import records

# Cost of a frame besides its bytes: the Python objects that hold it.
_OVERHEAD = 512
_FALLBACK_BYTES = 1 << 30


@dataclass
class Batch:
    """One batch of records. found: where they are; None where `stride` tells.

    samples: for perf batches, the sample of each record.
    """

    payload: records.Buffer
    count: int
    stride: int = 0
    found: records.Records | None = None
    samples: records.Samples | None = None

    @property
    def size(self) -> int:
        """Bytes held."""
        per_record = 48 if self.samples else 16 if self.found else 0
        return len(self.payload) + _OVERHEAD + per_record * self.count


class RecordStore:
    """The latest batches of one table, at most `max_rows` records of them.

    seen: records that arrived. torn: records that were incomplete in their batch.
    """

    def __init__(self, max_rows: int | None) -> None:
        self.max_rows = max_rows
        self.seen = 0
        self.torn = 0
        self.size = 0
        self.batches: deque[Batch] = deque()
        self._held = 0

    @property
    def rows(self) -> int:
        """Records that a table would have."""
        return self._held if self.max_rows is None else min(self._held, self.max_rows)

    def add(self, frame: Frame) -> None:
        """Keep a batch, and drop batches that are then too old."""
        batch = self._batch(frame)
        self.seen += batch.count
        if not batch.count:
            return
        self.batches.append(batch)
        self._held += batch.count
        self.size += batch.size
        while self.max_rows is not None and self._held - self.batches[0].count >= self.max_rows:
            self.drop_oldest()

    def _batch(self, frame: Frame) -> Batch:
        payload = frame.payload
        if frame.header.get("form") == "perf":
            samples = records.samples(payload)
            self.torn += samples.records.torn
            found = samples.records
            return Batch(payload, len(found.starts), found=found, samples=samples)
        stride = int(frame.header.get("stride", 0))
        if stride:
            return Batch(payload, len(payload) // stride, stride)
        found = records.walk(payload)
        self.torn += found.torn
        return Batch(payload, len(found.starts), found=found)

    def drop_oldest(self) -> None:
        """Drop the oldest batch."""
        batch = self.batches.popleft()
        self._held -= batch.count
        self.size -= batch.size

    @property
    def droppable(self) -> bool:
        """Whether there is an old batch to drop; the newest always stays."""
        return len(self.batches) > 1

    def latest(self, limit: int | None = None) -> Iterator[tuple[Batch, int]]:
        """Yield the batches of the latest `limit` records, and how many of the first to skip."""
        wanted = self.rows if limit is None else min(limit, self.rows)
        chosen: list[tuple[Batch, int]] = []
        for batch in reversed(self.batches):
            if wanted <= 0:
                break
            chosen.append((batch, max(batch.count - wanted, 0)))
            wanted -= batch.count
        return reversed(chosen)


@dataclass
class Reading:
    """One reading of a map: its keys and values as they arrived, in parts."""

    at_ns: int
    parts: list[tuple[int, records.Buffer]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Entries read."""
        return sum(count for count, _ in self.parts)

    @property
    def size(self) -> int:
        """Bytes held."""
        return _OVERHEAD + sum(len(payload) for _, payload in self.parts)


class MapStore:
    """The readings of one map, the latest last; an unfinished one does not show."""

    def __init__(self, layout: Layout) -> None:
        self.size = 0
        self.readings: deque[Reading] = deque()
        self._open: Reading | None = None
        value_size = layout.value_size
        self.shape: tuple[int, ...] = ()
        if layout.cpus:
            value_size = -(-value_size // 8) * 8
            self.shape = (layout.cpus,)
        self.padded = records.has_padding(layout.key, layout.key_size)
        self.key_type = records.dtype_of(layout.key, layout.key_size)
        self.value_type = records.dtype_of(layout.value, value_size)

    @property
    def rows(self) -> int:
        """Entries in the latest whole reading."""
        return self.readings[-1].count if self.readings else 0

    def add(self, frame: Frame) -> None:
        """Keep one part of a reading."""
        at_ns = int(frame.header.get("at_ns", 0))
        if self._open is None or self._open.at_ns != at_ns:
            self._open = Reading(at_ns)
        if frame.header.get("count"):
            self._open.parts.append((int(frame.header["count"]), frame.payload))
        if frame.header.get("last", True):
            self.readings.append(self._open)
            self.size += self._open.size
            self._open = None

    def drop_oldest(self) -> None:
        """Drop the oldest reading."""
        self.size -= self.readings.popleft().size

    @property
    def droppable(self) -> bool:
        """Whether there is an old reading to drop; the latest always stays."""
        return len(self.readings) > 1

    def arrays(self, reading: Reading) -> tuple[list[records.Array], list[records.Array]]:
        """Return a reading's keys, each part of shape (n,), and values, (n,) or (n, cpus)."""
        keys = []
        values = []
        for count, payload in reading.parts:
            keys.append(np.frombuffer(payload, self.key_type, count))
            per_key = math.prod(self.shape)
            flat = np.frombuffer(
                payload, self.value_type, count * per_key, offset=count * self.key_type.itemsize
            )
            values.append(flat.reshape((count, *self.shape)))
        return keys, values


def available_bytes() -> int:
    """Return how much memory this machine has available."""
    try:
        text = Path("/proc/meminfo").read_text("ascii")
    except OSError:
        return _FALLBACK_BYTES
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else _FALLBACK_BYTES
