"""One probe of a live view: started, stopped and started again with other options.

A Tracer knows nothing of widgets. What goes wrong is kept as text, because it happens in threads
that have nowhere else to say it.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kernelscope.errors import KernelScopeError
from kernelscope.probe import catalogue
from kernelscope.ui import messages
from kernelscope.ui.live.counting.counter import Engine
from kernelscope.ui.live.views import View, offered

if TYPE_CHECKING:
    import pandas as pd

    from kernelscope.probe.model import Plot, Probe
    from kernelscope.tracing.run import Run
    from kernelscope.tracing.session import Session

KEPT_BYTES = 64 << 20  # of raw data, for the table of last events and for files
_ALL = 1 << 30
_READ_EVERY_S = 0.1
_SLOWEST_S = 2.0


class Tracer:
    """A probe with its options, and the run of it that goes on or was the last.

    name: of a probe. given: options as the Python API has them. run: one that goes on already.
    begin: gives the run in the place of a probe's, as often as it is started: a recording.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        given: Mapping[str, Any] | None = None,
        *,
        run: Run | None = None,
        begin: Callable[[], Run] | None = None,
        window_s: float = 60,
    ) -> None:
        self.session = session
        self.name = name
        self.given = dict(given or {})
        self.begin = begin
        self.window_s = window_s
        self.run: Run | None = None
        self.engine: Engine | None = None
        self.error = ""
        self.baseline: dict[str, pd.DataFrame] = {}  # what maps had counted when it was cleared
        self._starting = False
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._number = 0
        if run is not None:
            self._follow(run)

    # --- what it is ------------------------------------------------------------------------------

    @property
    def probe(self) -> Probe | None:
        """The description; None for C of one's own."""
        try:
            return catalogue.find(self.name)
        except KernelScopeError:
            return None

    @property
    def plots(self) -> tuple[Plot, ...]:
        """The pictures that the description proposes."""
        return self.probe.plots if self.probe else ()

    @property
    def views(self) -> list[View]:
        """The views there are; none before the first start."""
        engine = self.engine
        if engine is None:
            return []
        return offered({name: r.shape for name, r in engine.reducers.items()}, self.plots)

    @property
    def state(self) -> str:
        """One of "starting", "running", "stopped", "ended" (its time was over), "failed"."""
        if self._starting:
            return "starting"
        if self.error or (self.run is not None and self.run.state == "failed"):
            return "failed"
        if self.run is None or self._ended.is_set():
            return "stopped"
        return "running" if self.run.running else "ended"

    @property
    def problem(self) -> str:
        """What went wrong, in a few lines; "" where nothing did."""
        engine, run = self.engine, self.run
        if self.error:
            return self.error
        if run is not None and run.stream.error is not None:
            return _said(run.stream.error)
        return _said(engine.error) if engine is not None and engine.error is not None else ""

    # --- what it does ----------------------------------------------------------------------------

    def start(self) -> None:
        """Compile and attach in the background; a run that goes on is ended first."""
        with self._lock:
            self._number += 1
            number, self._starting, self.error = self._number, True, ""
        threading.Thread(
            target=self._start, args=(number,), name="kernelscope-start", daemon=True
        ).start()

    def stop(self) -> None:
        """End the run; what it counted stays in view."""
        with self._lock:
            self._number += 1
            self._starting = False
            self._ended.set()
            run = self.run
        if run is not None:
            run.stop()

    def close(self) -> None:
        """Drop the run at once."""
        self.stop()
        if self.run is not None:
            self.run.close()

    def clear(self) -> None:
        """Begin the window anew."""
        if self.engine is None or self.run is None:
            return
        stream = self.run.stream
        if stream.collector is not None:
            self.baseline = {
                name: stream.collector.latest(name, _ALL)
                for name in self.engine.reducers
                if stream.is_map(name)
            }
        self.engine.clear()

    def resize(self, window_s: float) -> None:
        """Show a window of that many seconds."""
        self.window_s = window_s
        if self.engine is not None:
            self.engine.resize(window_s)

    def _start(self, number: int) -> None:
        try:
            if self.run is not None:
                self.run.close()
            run = self._asked() if self.begin is None else self.begin().wait_attached()
        except Exception as error:  # the view shows it; this thread has no cell to raise it in
            self._fail(number, error)
            return
        with self._lock:
            if number != self._number:  # stopped, or started anew, meanwhile
                run.close()
                return
            self._starting = False
        self._follow(run)

    def _asked(self) -> Run:
        given = {"duration": "inf", **self.given}
        asked = self.session.request(self.name, None, given)
        if asked.max_rows is None:
            asked = dataclasses.replace(asked, max_bytes=KEPT_BYTES)
        return self.session.submit(asked)

    def _fail(self, number: int, error: Exception) -> None:
        with self._lock:
            if number == self._number:
                self._starting, self.error = False, _said(error)

    def _follow(self, run: Run) -> None:
        engine = Engine(run, self.plots, self.window_s)
        ended = threading.Event()
        self.engine, self.run, self._ended, self.baseline = engine, run, ended, {}
        engine.begin()
        if any(r.shape.is_map for r in engine.reducers.values()):
            arguments = (run, engine, ended)
            threading.Thread(
                target=_ask, args=arguments, name="kernelscope-ask", daemon=True
            ).start()


def _ask(run: Run, engine: Engine, ended: threading.Event) -> None:
    """Have the maps read again and again, the next time when the last reading is there."""
    wait_s, asked = _READ_EVERY_S, 0
    while run.running and not ended.wait(wait_s):
        if engine.readings < asked:
            wait_s = min(2 * wait_s, _SLOWEST_S)
            asked = min(asked, engine.readings + 1)
            continue
        wait_s = max(_READ_EVERY_S, wait_s * 0.9)
        asked = engine.readings + 1
        run.stream.snapshot()


def _said(error: BaseException) -> str:
    if isinstance(error, KernelScopeError):
        return messages.error_text(error)
    return f"{type(error).__name__}: {error}"
