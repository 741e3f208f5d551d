"""The thread that draws: it keeps the beat, and says how it fares; other cells run meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from kernelscope.ui.live.frame_pacing import Pace

_REPORT_EVERY_S = 0.25
_IDLE_S = 0.1


class Loop:
    """Calls `draw` for each frame that the pace allows, and `report` four times a second.

    Both get the time in seconds; draw returns whether there was anything to draw. What they raise
    goes to `failed`, and the loop goes on: a view must not die of one frame.
    """

    def __init__(
        self,
        pace: Pace,
        draw: Callable[[float], bool],
        report: Callable[[float], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.pace = pace
        self.paused = False
        self._draw = draw
        self._report = report
        self._failed = failed
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start, where it does not run already."""
        if self._thread is not None and self._thread.is_alive() and not self._over.is_set():
            return
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._over,), name="kernelscope-draw", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """Stop soon; does not wait, because the thread itself may ask for it."""
        self._over.set()

    def _run(self, over: threading.Event) -> None:
        next_report = 0.0
        while not over.is_set():
            now = time.monotonic()
            wait_s = _IDLE_S if self.paused else self.pace.wait(now)
            if wait_s > 0:
                over.wait(min(wait_s, _IDLE_S))
            try:
                if not self.paused and self.pace.wait(time.monotonic()) <= 0:
                    self._frame()
                if now >= next_report:
                    next_report = now + _REPORT_EVERY_S
                    self._report(now)
            except Exception as error:  # shown in the view; the thread has nobody else to tell
                self._failed(error)
                over.wait(1.0)

    def _frame(self) -> None:
        begun, cpu = time.monotonic(), time.thread_time()
        if not self.pace.allows(begun):
            return
        if self._draw(begun):
            self.pace.drew(begun, time.monotonic(), time.thread_time() - cpu)
        else:
            self.pace.rest(begun)
