"""Counts a run's batches as they arrive, in a thread of its own.

No widgets and no matplotlib. A RunCounter keeps no events: `Run.peek` returns the rows that the run
keeps, `RunCounter.aggregates` holds the counts of all events.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kernelscope.ui.live.counting.aggregate import Aggregate
from kernelscope.ui.live.counting.shape import shape_of

if TYPE_CHECKING:
    from kernelscope.probe.model import Plot
    from kernelscope.tracing.batch import Batch
    from kernelscope.tracing.run import Run

_RATE_S = 2.0


class RunCounter:
    """Counts one run's events. Safe to use from several threads: hold `lock` to read counts."""

    def __init__(self, run: Run, plots: Sequence[Plot] = (), window_s: float = 60) -> None:
        self.run = run
        self.lock = threading.RLock()
        self.error: BaseException | None = None
        self.window_s = window_s
        self.readings = 0
        self._marks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        stream = run.stream
        self.start_ns = stream.now_ns()
        self.aggregates: dict[str, Aggregate] = {}
        for name in stream.names:
            layout, columns = stream.describe(name)
            shape = shape_of(name, columns, plots, is_map=stream.is_map(name))
            histogram = layout.histogram or "log_linear"
            self.aggregates[name] = Aggregate(shape, histogram, self.start_ns, window_s)
        self._done = threading.Event()

    def start(self) -> None:
        """Count in the background until the run ends."""
        threading.Thread(target=self._count, name="kernelscope-count", daemon=True).start()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until everything that the run sent is counted; also before `start`."""
        self._done.wait(timeout)

    @property
    def done(self) -> bool:
        """Whether everything that the run sent is counted."""
        return self._done.is_set()

    def take(self, batch: Batch) -> None:
        """Count one batch."""
        aggregate = self.aggregates[batch.table]
        frame = batch.frame(aggregate.shape.needed)
        at_ns = self._wall_ns(batch.at_ns) if batch.at_ns else self.run.stream.now_ns()
        with self.lock:
            if aggregate.shape.is_map:
                aggregate.take_reading(frame, at_ns)
                self.readings += 1
            elif len(frame):
                aggregate.take_records(frame, at_ns)

    def _wall_ns(self, monotonic_ns: int) -> int:
        collector = self.run.stream.collector
        assert collector is not None  # a batch comes after the program is attached
        return int(collector.clock.wall_ns(np.int64(monotonic_ns)))

    def advance(self) -> None:
        """Move the window's end to now, or to the run's end."""
        now = self.run.stream.now_ns()
        with self.lock:
            for aggregate in self.aggregates.values():
                aggregate.advance(now)

    def clear(self) -> None:
        """Start the window again from 0."""
        now = self.run.stream.now_ns()
        with self.lock:
            self.start_ns = now
            for aggregate in self.aggregates.values():
                aggregate.clear(now)

    def resize(self, window_s: float) -> None:
        """Change the window's length; counts of ten minutes are always kept."""
        now = self.run.stream.now_ns()
        with self.lock:
            self.window_s = window_s
            for aggregate in self.aggregates.values():
                aggregate.resize(window_s, now)

    @property
    def events(self) -> int:
        """Events since the start or `clear`; several maps count the same events."""
        return int(_total([(r.shape.is_map, r.events) for r in self.aggregates.values()]))

    @property
    def counted(self) -> int:
        """Events since the run started."""
        return int(_total([(r.shape.is_map, r.counted) for r in self.aggregates.values()]))

    @property
    def rate(self) -> float:
        """Events per second, over the last two seconds or since the last call."""
        now, counted = time.monotonic(), self.counted
        with self.lock:
            while len(self._marks) > 1 and self._marks[1][0] <= now - _RATE_S:
                self._marks.popleft()
            self._marks.append((now, counted))
            first_at, first = self._marks[0]
        return (counted - first) / (now - first_at) if now > first_at else 0.0

    def _count(self) -> None:
        try:
            for batch in self.run:
                self.take(batch)
        except Exception as error:  # the view shows it: a thread cannot raise to anybody
            self.error = error
        finally:
            self._done.set()


def _total(counts: Sequence[tuple[bool, float]]) -> float:
    """Add up the tables of records; of maps, which count the same events, take the largest."""
    maps = [count for is_map, count in counts if is_map]
    return sum(count for is_map, count in counts if not is_map) + max(maps, default=0)
