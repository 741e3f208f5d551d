"""The thread that draws frames at a steady rate and reports the status in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from kernelscope.ui.live.frame_pacing import FramePacer

_REPORT_EVERY_S = 0.25
_IDLE_S = 0.1


class DrawLoop:
    """Calls `draw` for each frame that the pacer allows, and `report` four times per second.

    Both get the time in seconds; draw returns whether there was anything to draw. Exceptions go to
    `failed`, and the loop continues: one bad frame must not end the view. Where `idle` returns
    True, the thread draws and reports once more, and then sleeps until `wake`.
    """

    def __init__(
        self,
        pacer: FramePacer,
        draw: Callable[[float], bool],
        report: Callable[[float], None],
        failed: Callable[[Exception], None],
        idle: Callable[[], bool] = lambda: False,
    ) -> None:
        self.pacer = pacer
        self.paused = False
        self._draw = draw
        self._report = report
        self._failed = failed
        self._idle = idle
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread unless it runs already; wake it where it sleeps."""
        self._wake.set()
        if self._thread is not None and self._thread.is_alive() and not self._ended.is_set():
            return
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._ended,), name="kernelscope-draw", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread soon; does not wait, because the thread itself may call it."""
        self._ended.set()
        self._wake.set()

    def wake(self) -> None:
        """Draw and report soon, also where the view was idle."""
        self._wake.set()

    def _run(self, ended: threading.Event) -> None:
        next_report = 0.0
        while not ended.is_set():
            self._wake.clear()
            if self._idle():
                self._rest(ended)
                continue
            now = time.monotonic()
            wait_s = _IDLE_S if self.paused else self.pacer.seconds_left(now)
            if wait_s > 0:
                ended.wait(min(wait_s, _IDLE_S))
            try:
                if not self.paused and self.pacer.seconds_left(time.monotonic()) <= 0:
                    self._frame()
                if now >= next_report:
                    next_report = now + _REPORT_EVERY_S
                    self._report(now)
            except Exception as error:  # the view shows it: a thread cannot raise to anybody
                self._failed(error)
                ended.wait(1.0)

    def _rest(self, ended: threading.Event) -> None:
        """Show the last state, and sleep until something happens."""
        try:
            self._draw(time.monotonic())
            self._report(time.monotonic())
        except Exception as error:  # the view shows it: a thread cannot raise to anybody
            self._failed(error)
        if not ended.is_set():
            self._wake.wait()

    def _frame(self) -> None:
        start, cpu = time.monotonic(), time.thread_time()
        if not self.pacer.allows(start):
            return
        if self._draw(start):
            self.pacer.drawn(start, time.monotonic(), time.thread_time() - cpu)
        else:
            self.pacer.skipped(start)
