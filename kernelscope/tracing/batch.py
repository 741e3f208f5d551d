"""Batches of raw frames, and how they reach the loops that iterate over a run."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernelscope.protocol.frames import Frame

if TYPE_CHECKING:
    import pandas as pd

_ROOM = 256  # MiB of batches that wait for a slow iteration; each counts at least 1


@dataclass(frozen=True)
class Batch:
    """Some raw records of one table, or one part of a map's reading, as they arrived.

    table: its name in the result. at_ns: CLOCK_MONOTONIC when the agent read them, 0 where it did
    not say.
    """

    table: str
    at_ns: int
    frames: tuple[Frame, ...]
    decode: Callable[[tuple[Frame, ...], Collection[str] | None], pd.DataFrame]

    @property
    def nbytes(self) -> int:
        """Bytes of raw data."""
        return sum(len(frame.payload) for frame in self.frames)

    def frame(self, columns: Collection[str] | None = None) -> pd.DataFrame:
        """Decode the batch; the columns are those of the run's result for this table.

        columns: decode only the `probe.Column`s of these names.
        """
        return self.decode(self.frames, columns)


class Feed:
    """Passes batches to one iteration; a slow one slows the reader down, an ended one does not."""

    def __init__(self, backlog: Iterable[Batch]) -> None:
        self._queue: queue.Queue[Batch | None] = queue.Queue()
        self._room = threading.Semaphore(_ROOM)
        self._open = True
        self._bounded = True
        for batch in backlog:
            self._queue.put(batch)

    def put(self, batch: Batch | None) -> None:
        """Pass a batch on when there is room for it; None ends the iteration."""
        for _ in range(_places(batch)):
            while self._bounded and not self._room.acquire(timeout=0.1):
                pass
        self._queue.put(batch)

    @property
    def is_open(self) -> bool:
        """Whether the iteration still takes batches."""
        return self._open

    def unbind(self) -> None:
        """Take everything from now on, even if the iteration is slow."""
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
