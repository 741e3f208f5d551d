"""One probe of a live view: started, stopped, and started again with other options.

No widgets. Errors are kept as text, because they happen in threads that cannot raise to anybody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kernelscope.errors import AttachError, KernelScopeError
from kernelscope.probe import catalogue
from kernelscope.tracing.run import Run
from kernelscope.ui import messages
from kernelscope.ui.live.choose import View, offered
from kernelscope.ui.live.counting.counter import RunCounter

if TYPE_CHECKING:
    import pandas as pd

    from kernelscope.probe.model import Plot, Probe
    from kernelscope.tracing.session import Session

KEPT_BYTES = 64 << 20  # of raw data, for the table of the latest rows and for files
_ALL = 1 << 30
_READ_EVERY_S = 0.1
_SLOWEST_S = 2.0


@dataclass(frozen=True)
class _Wanted:
    """What is to be started."""

    name: str
    options: dict[str, Any]
    open_run: Callable[[], Run] | None


class Tracer:
    """A probe with its options, and its current or last run.

    options: as in the Python API. run: one that is already running. open_run: returns the run
    instead of the probe, each time it is started; recordings use it.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        options: Mapping[str, Any] | None = None,
        *,
        run: Run | None = None,
        open_run: Callable[[], Run] | None = None,
        window_s: float = 60,
    ) -> None:
        self.session = session
        self.name = name
        self.options = dict(options or {})
        self.open_run = open_run
        self.window_s = window_s
        self.run: Run | None = None
        self.counter: RunCounter | None = None
        self.error = ""
        self.pending = ""  # the probe that is starting while another one still runs
        self.changed: list[Callable[[], None]] = []  # called when a run starts or fails to
        self.baseline: dict[str, pd.DataFrame] = {}  # the maps when the view was reset
        self._starting = False
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._number = 0
        if run is not None:
            self._follow(run)

    # --- state -----------------------------------------------------------------------------------

    @property
    def probe(self) -> Probe | None:
        """The probe's description; None for a cell's C."""
        try:
            return catalogue.find(self.name)
        except KernelScopeError:
            return None

    @property
    def plots(self) -> tuple[Plot, ...]:
        """The plots that the description proposes."""
        return self.probe.plots if self.probe else ()

    @property
    def views(self) -> list[View]:
        """The views that fit; none before the first start."""
        counter = self.counter
        if counter is None:
            return []
        return offered({name: a.shape for name, a in counter.aggregates.items()}, self.plots)

    @property
    def state(self) -> str:
        """One of "starting", "running", "stopped", "ended" (its duration has passed), "failed"."""
        run = self.run
        if run is not None and run.running and not self._ended.is_set():
            return "running"
        if self._starting:
            return "starting"
        if self.error or (run is not None and run.state == "failed"):
            return "failed"
        return "stopped" if run is None or self._ended.is_set() else "ended"

    @property
    def settled(self) -> bool:
        """Whether nothing changes any more until a user acts: all events are counted."""
        if self._starting or (self.run is not None and self.run.running):
            return False
        return self.counter is None or self.counter.done

    @property
    def problem(self) -> str:
        """The error in a few lines; "" for none."""
        counter, run = self.counter, self.run
        if self.error:
            return self.error
        if run is not None and run.stream.error is not None:
            return _text_of(run.stream.error)
        return _text_of(counter.error) if counter is not None and counter.error is not None else ""

    # --- actions --------------------------------------------------------------------------------

    def start(self) -> None:
        """Compile and attach in the background. A run that is attached ends when the new one is."""
        self._launch(_Wanted(self.name, self.options, self.open_run))

    def change(self, name: str, options: Mapping[str, Any]) -> None:
        """Start another probe, or the same one with other options, in the background.

        The current run continues under its own name until the new one is attached, and where that
        fails. Raises ParameterError and ProbeNotFoundError, and then nothing changes at all.
        """
        self.session.plan(name, {"duration": "inf", **options})
        self._launch(_Wanted(name, dict(options), None))

    def forget_error(self) -> None:
        """Forget that a change failed."""
        self.error = ""

    def _launch(self, wanted: _Wanted) -> None:
        with self._lock:
            self._number += 1
            number, self._starting, self.error = self._number, True, ""
            self.pending = wanted.name
        threading.Thread(
            target=self._start, args=(number, wanted), name="kernelscope-start", daemon=True
        ).start()
        self._tell()

    def stop(self) -> None:
        """End the run; its counts stay."""
        with self._lock:
            self._number += 1
            self._starting, self.pending = False, ""
            self._ended.set()
            run = self.run
        if run is not None:
            run.stop()
        self._tell()

    def close(self) -> None:
        """End the run at once, without its result."""
        self.stop()
        if self.run is not None:
            self.run.close()

    def clear(self) -> None:
        """Start the window again from 0."""
        if self.counter is None or self.run is None:
            return
        stream = self.run.stream
        if stream.collector is not None:
            self.baseline = {
                name: stream.collector.latest(name, _ALL)
                for name in self.counter.aggregates
                if stream.is_map(name)
            }
        self.counter.clear()

    def resize(self, window_s: float) -> None:
        """Show a window of that many seconds."""
        self.window_s = window_s
        if self.counter is not None:
            self.counter.resize(window_s)

    def _start(self, number: int, wanted: _Wanted) -> None:
        before = self.run
        try:
            run = self._attach(wanted, before)
        except Exception as error:  # the view shows it: a thread cannot raise to anybody
            with self._lock:
                if number == self._number:
                    self._starting, self.pending, self.error = False, "", _text_of(error)
            self._tell()
            return
        with self._lock:
            if number != self._number:  # stopped or started again meanwhile
                run.close()
                return
            self.name, self.options, self.open_run = wanted.name, wanted.options, wanted.open_run
            self._follow(run)
            self._starting, self.pending = False, ""
        if before is not None:
            before.close()
        self._tell()

    def _attach(self, wanted: _Wanted, before: Run | None) -> Run:
        """Return the run that is wanted, attached."""
        try:
            return self._open(wanted)
        except AttachError:
            if before is None or not before.running or wanted.name != self.name:
                raise
        # Some hooks take one program only, such as XDP: the current run has to end first.
        before.close()
        try:
            return self._open(wanted)
        except Exception:
            self._follow(self._open(_Wanted(self.name, self.options, self.open_run)))
            raise

    def _open(self, wanted: _Wanted) -> Run:
        if wanted.open_run is not None:
            return wanted.open_run().wait_attached()
        given = {"duration": "inf", **wanted.options}
        run = self.session.begin(self.session.plan(wanted.name, given, max_bytes=KEPT_BYTES))
        assert isinstance(run, Run)  # of one probe
        return run

    def _tell(self) -> None:
        for call in self.changed:
            call()

    def _follow(self, run: Run) -> None:
        counter = RunCounter(run, self.plots, self.window_s)
        ended = threading.Event()
        counter.start()
        self.counter, self.run, self._ended, self.baseline = counter, run, ended, {}
        if any(each.shape.is_map for each in counter.aggregates.values()):
            threading.Thread(
                target=_read_maps,
                args=(run, counter, ended),
                name="kernelscope-read-maps",
                daemon=True,
            ).start()


def _read_maps(run: Run, counter: RunCounter, ended: threading.Event) -> None:
    """Request readings of the maps, each after the last one has arrived."""
    wait_s, requested = _READ_EVERY_S, 0
    while run.running and not ended.wait(wait_s):
        if counter.readings < requested:
            wait_s = min(2 * wait_s, _SLOWEST_S)
            requested = min(requested, counter.readings + 1)
            continue
        wait_s = max(_READ_EVERY_S, wait_s * 0.9)
        requested = counter.readings + 1
        run.stream.snapshot()


def _text_of(error: BaseException) -> str:
    if isinstance(error, KernelScopeError):
        return messages.error_text(error)
    return f"{type(error).__name__}: {error}"
