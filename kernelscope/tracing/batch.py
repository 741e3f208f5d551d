"""Batches of raw frames, and how they are handed to whoever iterates over a run."""

from __future__ import annotations

import queue
import threading
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernelscope.protocol.frames import Frame

if TYPE_CHECKING:
    import pandas as pd

    from kernelscope.tracing.stream import Stream

_ROOM = 256  # MiB of batches that a slow iteration lets wait; each counts 1 at the least


@dataclass(frozen=True)
class Batch:
    """Some raw records of one table, or one part of a map's reading, as they arrived.

    at_ns: CLOCK_MONOTONIC when the agent read them, 0 where it did not say.
    """

    table: str
    at_ns: int
    frames: tuple[Frame, ...]
    stream: Stream

    @property
    def nbytes(self) -> int:
        """Bytes of raw data."""
        return sum(len(frame.payload) for frame in self.frames)

    def frame(self, columns: Collection[str] | None = None) -> pd.DataFrame:
        """Decode the batch; the columns are those of the run's result for this table.

        columns: the names, in `probe.Column`, of those that are wanted alone.
        """
        return self.stream.decode(self.frames, columns)


class Feed:
    """Hands batches to one iteration; a slow one holds the reader back, an ended one does not."""

    def __init__(self, backlog: Iterable[Batch]) -> None:
        self._queue: queue.Queue[Batch | None] = queue.Queue()
        self._room = threading.Semaphore(_ROOM)
        self._open = True
        self._bounded = True
        for batch in backlog:
            self._queue.put(batch)

    def put(self, batch: Batch | None) -> None:
        """Hand over a batch when there is room for it; None: there will be no more."""
        for _ in range(_places(batch)):
            while self._bounded and not self._room.acquire(timeout=0.1):
                pass
        self._queue.put(batch)

    @property
    def is_open(self) -> bool:
        """Whether somebody still takes batches."""
        return self._open

    def unbind(self) -> None:
        """Take everything from now on, however slow the iteration is."""
        self._bounded = False

    def close(self) -> None:
        """Take no more: the iteration has ended."""
        self._open = False
        self.unbind()

    def __iter__(self) -> Iterator[Batch]:
        try:
            while (batch := self._queue.get()) is not None:
                yield batch
                self._room.release(_places(batch))
        finally:
            self.close()


def _places(batch: Batch | None) -> int:
    """Return how much of a feed's room a batch takes."""
    return 0 if batch is None else 1 + (batch.nbytes >> 20)
