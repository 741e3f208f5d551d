"""A run's batches, counted as they come, in a thread of their own.

Knows nothing of widgets or of matplotlib. An Engine holds no events: `Run.peek` gives those that
the run keeps, `Engine.reducers` what has been counted of all of them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kernelscope.ui.live.counting.aggregate import Reducer, shape_of

if TYPE_CHECKING:
    from kernelscope.probe.model import Plot
    from kernelscope.tracing.batch import Batch
    from kernelscope.tracing.run import Run

_RATE_S = 2.0


class Engine:
    """Counts what one run sends. Safe to use from several threads: hold `lock` to read counts."""

    def __init__(self, run: Run, plots: Sequence[Plot] = (), window_s: float = 60) -> None:
        self.run = run
        self.lock = threading.RLock()
        self.error: BaseException | None = None
        self.window_s = window_s
        self.readings = 0
        self._marks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        stream = run.stream
        self.begun_ns = stream.now_ns()
        clock = stream.attached["clock"]
        self._offset_ns = int(clock["realtime_ns"]) - int(clock["monotonic_ns"])
        self.reducers: dict[str, Reducer] = {}
        for name in stream.names:
            layout, columns = stream.describe(name)
            shape = shape_of(name, columns, plots, is_map=stream.is_map(name))
            histogram = layout.histogram or "log_linear"
            self.reducers[name] = Reducer(shape, histogram, self.begun_ns, window_s)
        self._thread = threading.Thread(target=self._pump, name="kernelscope-count", daemon=True)

    def begin(self) -> None:
        """Start to count in the background, until the run's end."""
        self._thread.start()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until everything that the run sent is counted."""
        self._thread.join(timeout)

    def take(self, batch: Batch) -> None:
        """Count one batch."""
        name = batch.stream.shown(batch.table)
        reducer = self.reducers[name]
        frame = batch.frame(reducer.shape.needed)
        at_ns = batch.at_ns + self._offset_ns if batch.at_ns else self.run.stream.now_ns()
        with self.lock:
            if reducer.shape.is_map:
                reducer.take_reading(frame, at_ns)
                self.readings += 1
            elif len(frame):
                reducer.take_records(frame, at_ns)

    def advance(self) -> None:
        """Let the window end now; not beyond the run's end."""
        now = self.run.stream.now_ns()
        with self.lock:
            for reducer in self.reducers.values():
                reducer.advance(now)

    def clear(self) -> None:
        """Begin the window anew."""
        now = self.run.stream.now_ns()
        with self.lock:
            self.begun_ns = now
            for reducer in self.reducers.values():
                reducer.clear(now)

    def resize(self, window_s: float) -> None:
        """Let the window be that long; counts of ten minutes are there at any time."""
        now = self.run.stream.now_ns()
        with self.lock:
            self.window_s = window_s
            for reducer in self.reducers.values():
                reducer.resize(window_s, now)

    @property
    def events(self) -> int:
        """Events since the start or `clear`; of maps, which count the same ones, the most."""
        return int(_whole([(r.shape.is_map, r.events) for r in self.reducers.values()]))

    @property
    def counted(self) -> int:
        """Events since the run began."""
        return int(_whole([(r.shape.is_map, r.counted) for r in self.reducers.values()]))

    @property
    def rate(self) -> float:
        """Events a second that came, over the last two or since it was last asked."""
        now, counted = time.monotonic(), self.counted
        with self.lock:
            while len(self._marks) > 1 and self._marks[1][0] <= now - _RATE_S:
                self._marks.popleft()
            self._marks.append((now, counted))
            first_at, first = self._marks[0]
        return (counted - first) / (now - first_at) if now > first_at else 0.0

    def _pump(self) -> None:
        try:
            for batch in self.run:
                self.take(batch)
        except Exception as error:  # shown in the view; a thread has nobody else to tell
            self.error = error


def _whole(counts: Sequence[tuple[bool, float]]) -> float:
    """Add up the records' tables; several maps count the same events in several ways."""
    maps = [count for is_map, count in counts if is_map]
    return sum(count for is_map, count in counts if not is_map) + max(maps, default=0)
