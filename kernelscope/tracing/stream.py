"""Reads a run's frames in a thread of its own, and keeps them until the result is read.

A Stream has no reference to its Run, so that a Run that is no longer referenced is collected, which
closes the stream and with it the run.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from kernelscope.errors import KernelScopeError, RecordingError, RequirementError
from kernelscope.protocol.frames import Frame
from kernelscope.protocol.layout import Layout
from kernelscope.tables.plan import MAPS
from kernelscope.tracing.batch import Batch, Feed
from kernelscope.tracing.request import Request

if TYPE_CHECKING:
    import pandas as pd

    from kernelscope.io.recording import Recorder
    from kernelscope.probe.model import Column
    from kernelscope.tables.collector import Collector

_RECENT_BYTES = 64 << 20  # for an iteration that starts late
_RECENT_BYTES_WITH_FEED = 4 << 20  # with an iteration: memory that is reused soon is fast


class Source(Protocol):
    """Where frames come from: the agent's Channel, or a recording."""

    def frames(self) -> Iterator[Frame]:
        """Yield frames up to the end; raises the run's error."""

    def stop(self) -> None:
        """Ask the run to end."""

    def start(self) -> None:
        """Attach a run that waits for its group."""

    def until(self, at_ns: int) -> None:
        """End the run at that moment of the monotonic clock."""

    def snapshot(self) -> None:
        """Ask for a reading of the maps."""

    def close(self) -> None:
        """Drop the run."""


class Stream:
    """The reading side of one run."""

    def __init__(
        self, source: Source, request: Request, recorders: Sequence[Recorder] = ()
    ) -> None:
        self.request = request
        self.attached: dict[str, Any] = {}
        self.layouts: tuple[Layout, ...] = ()
        self.receipt: dict[str, Any] = {}
        self.status: dict[str, Any] = {}  # the agent's latest status frame
        self.error: BaseException | None = None
        self.loaded = threading.Event()
        self.ready = threading.Event()
        self.done = threading.Event()
        self.started_at = 0.0
        self.interrupted = False  # by Ctrl-C
        self.problems: list[str] = []  # what went wrong without costing the result
        self.collector: Collector | None = None
        self._source = source
        self._recorders = list(recorders)
        self._lock = threading.Lock()
        self._read_again = threading.Condition(self._lock)
        self._readings = 0
        self._parts: dict[str, list[Frame]] = {}
        self._recent: deque[Batch] = deque()
        self._recent_bytes = 0
        self._feeds: list[Feed] = []
        self._closed = False
        self._stopping = False
        self._thread = threading.Thread(target=self._read, name="kernelscope-run", daemon=True)

    def begin(self) -> None:
        """Start reading in the background. Raises RequirementError where no thread can start."""
        try:
            self._thread.start()
        except RuntimeError as error:
            self._finish()
            raise RequirementError(
                f"the client cannot start a thread: {error}",
                hint="raise the limit (ulimit -u, or pids.max of the container), or end processes",
                requirement="threads",
            ) from None

    def start(self) -> None:
        """Attach a run that waits for its group."""
        self._source.start()

    def until(self, at_ns: int) -> None:
        """End the run at that moment of the monotonic clock."""
        self._source.until(at_ns)

    def stop(self) -> None:
        """Ask the run to end; its last data arrives before `done` is set."""
        if not self.done.is_set():
            self._stopping = True
            self._source.stop()

    def close(self) -> None:
        """Drop the run at once, without its last data."""
        self._closed = True
        self._source.close()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(1)

    def release_feeds(self) -> None:
        """Let the reader continue even if an iteration is slow."""
        with self._lock:
            for feed in self._feeds:
                feed.unbind()

    def now_ns(self) -> int:
        """The wall clock in nanoseconds; of a recording that plays, the recorded one."""
        source: Any = self._source
        return int(source.now_ns()) if hasattr(source, "now_ns") else time.time_ns()

    @property
    def state(self) -> str:
        """One of "starting", "running", "stopping", "done", "failed"."""
        if self.done.is_set():
            return "failed" if self.error else "done"
        if self._stopping:
            return "stopping"
        return "running" if self.ready.is_set() else "starting"

    @property
    def traced_s(self) -> float:
        """Seconds traced: so far, or in all."""
        return float(self.receipt.get("duration_s", self.elapsed_s))

    @property
    def elapsed_s(self) -> float:
        """Seconds since the program was attached."""
        return time.monotonic() - self.started_at if self.started_at else 0.0

    @property
    def rows(self) -> int:
        """Records of all tables so far (rows of maps count when a map has been read)."""
        collector = self.collector
        if collector is None:
            return 0
        return sum(collector.seen(name) for name in collector.names)

    @property
    def events(self) -> int | None:
        """Records that have arrived, kept or not; None where all tables are maps."""
        collector = self.collector
        names = collector.names if collector is not None else []
        records = [name for name in names if not self.is_map(name)]
        if collector is None or not records:
            return None
        return sum(collector.seen(name) for name in records)

    @property
    def lost(self) -> dict[str, int]:
        """Lost events so far, by cause; only causes that lost some."""
        collector = self.collector
        if collector is None:
            return {}
        lost = {**collector.lost, "torn": collector.torn, "dropped_rows": collector.dropped_rows}
        return {cause: int(number) for cause, number in lost.items() if number}

    def tables(self, only: str | None = None) -> dict[str, pd.DataFrame]:
        """Decode the tables; a map read at intervals has a row for each reading and key.

        A map whose rows have a time of their own has things, not counts: only its last reading is
        kept. only: the name of the one table to decode, if there is one of that name.
        """
        collector = self.collector
        if collector is None:
            return {}
        names = collector.names
        wanted = [only] if only is not None and only in names else names
        tables = {name: collector.table(name) for name in wanted}
        if not self.request.program.interval_ns:
            return tables
        counted = [name for name in tables if self.is_map(name) and "time" not in tables[name]]
        return {**tables, **{name: collector.history(name) for name in counted}}

    def snapshot(self) -> None:
        """Read the maps now; the reading arrives as batches do."""
        if not self.done.is_set():
            self._source.snapshot()

    def refresh(self, timeout_s: float = 2.0) -> None:
        """Read the maps now and wait for the reading, at most `timeout_s`."""
        self._wait_for_collector()
        maps = sum(self.is_map(name) for name in self._shown.values())
        if not maps or self.done.is_set():
            return
        wanted = self._readings + maps
        self._source.snapshot()
        with self._read_again:
            self._read_again.wait_for(
                lambda: self._readings >= wanted or self.done.is_set(), timeout_s
            )

    def batches(self) -> Iterator[Batch]:
        """Yield the latest batches, then each as it arrives.

        The latest are up to 64 MiB of them; 4 MiB while another iteration is active.
        """
        with self._lock:
            feed = Feed(self._recent)
            if self.done.is_set():
                feed.put(None)
            else:
                self._feeds.append(feed)
        return iter(feed)

    @property
    def names(self) -> list[str]:
        """The tables of the result; none of a run that could not be attached."""
        self._wait_for_collector()
        return self.collector.names if self.collector is not None else []

    def describe(self, name: str) -> tuple[Layout, tuple[Column, ...]]:
        """Return how a table's bytes are read, and what its columns mean."""
        collector = self.collector or self._collector()
        return collector.layout(name), collector.columns(name)

    @property
    def _shown(self) -> dict[str, str]:
        """The tables of the result by their names in the C, without a probe's internal maps."""
        specs = self.request.tables
        return {spec.map: spec.name for spec in specs} or {t.table: t.table for t in self.layouts}

    def is_map(self, name: str) -> bool:
        """Whether a table of the result is a map, which counts in the kernel."""
        kinds = {layout.table: layout.kind for layout in self.layouts}
        return any(
            kinds.get(table) in MAPS for table, shown in self._shown.items() if shown == name
        )

    def _wait_for_collector(self) -> None:
        while self.collector is None and not self.done.wait(0.01):
            pass

    def _collector(self) -> Collector:
        # Imports for the result happen now, while the program traces: pandas takes 0.3 s.
        from kernelscope import accessor
        from kernelscope.tables.collector import Collector

        accessor.register()
        self.request.digest()  # cached, so that a first peek is quick
        request = self.request
        return Collector.from_attached(
            self.attached,
            request.tables,
            max_rows=request.max_rows,
            max_bytes=request.max_bytes,
            sharing=request.sharing,
            per_cpu=request.program.per_cpu,
            offsets=request.offsets,
            types=request.types,
        )

    def _read(self) -> None:
        try:
            for frame in self._source.frames():
                self._take(frame)
        except KernelScopeError as error:
            self.error = None if self._closed else error
            self._record_refusal(error)
        except MemoryError:
            self._end_without_memory()
        except Exception as error:  # a defect must reach the caller, not end a thread silently
            self.error = error
        finally:
            self._finish()

    def _record_refusal(self, error: KernelScopeError) -> None:
        """Record the error of a program that was not attached; a replay raises it again."""
        if self.attached or self._closed:
            return
        for recorder in self._recorders:
            with suppress(RecordingError):  # the run's own error is the one to report
                recorder.add(Frame({"type": "error", "error": error.to_json()}))

    def _end_without_memory(self) -> None:
        """End the run with the rows that arrived; without any, with an error."""
        if self.attached:
            self.problems.append("the client ran out of memory, and the run ended early")
        else:
            self.error = RequirementError(
                "the client has too little memory to start a run",
                hint="delete large variables, or restart the kernel of the notebook",
                requirement="memory",
            )

    def _finish(self) -> None:
        """Close everything and wake every waiting thread, whichever step fails."""
        for recorder in list(self._recorders):
            self._attempt(partial(self._close_recorder, recorder))
        self._attempt(self._source.close)
        with self._lock:
            for feed in self._feeds:
                self._attempt(partial(feed.put, None))
            for event in (self.done, self.loaded, self.ready):
                event.set()
            self._read_again.notify_all()

    def _attempt(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:
            self.problems.append(f"the run did not end cleanly ({type(error).__name__}: {error})")

    def _close_recorder(self, recorder: Recorder) -> None:
        try:
            recorder.close()
        except RecordingError as error:
            self._drop_recorder(recorder, error)

    def _drop_recorder(self, recorder: Recorder, error: RecordingError) -> None:
        """Stop a recording that cannot be written; the run continues without it."""
        self._recorders.remove(recorder)
        self.problems.append(f"{error.message}; the file ends early, the result does not")
        with suppress(RecordingError):
            recorder.close()

    def _record(self, frame: Frame) -> None:
        for recorder in list(self._recorders):
            try:
                recorder.add(frame)
            except RecordingError as error:
                self._drop_recorder(recorder, error)

    def _take(self, frame: Frame) -> None:
        if frame.type == "loaded":
            self.loaded.set()
            return
        self._record(frame)
        if frame.type == "attached":
            self.attached = frame.header
            self.layouts = tuple(Layout.from_json(item) for item in frame.header["layouts"])
            self.started_at = time.monotonic()
            self.loaded.set()
            self.ready.set()
            self.collector = self._collector()
            return
        if frame.type == "receipt":
            self.receipt = frame.header
        elif frame.type == "status":
            self.status = frame.header
        if self.collector is not None:
            self.collector.add(frame)
            if frame.type == "map" and not self.request.program.interval_ns:
                self.collector.drop_readings()
        if frame.type in ("batch", "map") and frame.header["table"] in self._shown:
            self._share(frame)

    def _batch(self, table: str, frames: Sequence[Frame]) -> Batch:
        assert self.collector is not None  # it is made when the program is attached
        name = self._shown[table]
        at_ns = int(frames[-1].header.get("at_ns", 0))
        return Batch(name, at_ns, tuple(frames), partial(self.collector.decode, name))

    def _share(self, frame: Frame) -> None:
        """Make a batch of the frames of one reading of a ring or a map, and pass it on."""
        table = str(frame.header["table"])
        frames = [*self._parts.pop(table, []), frame]
        if frame.header.get("more") or not frame.header.get("last", True):
            self._parts[table] = frames
            return
        batch = self._batch(table, frames)
        with self._lock:
            if frame.type == "map":
                self._readings += 1
                self._read_again.notify_all()
            self._recent.append(batch)
            self._recent_bytes += batch.nbytes
            feeds = self._feeds = [feed for feed in self._feeds if feed.is_open]
            most = _RECENT_BYTES_WITH_FEED if feeds else _RECENT_BYTES
            while self._recent_bytes > most and len(self._recent) > 1:
                self._recent_bytes -= self._recent.popleft().nbytes
        for feed in feeds:
            feed.put(batch)
