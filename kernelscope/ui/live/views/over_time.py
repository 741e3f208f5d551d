"""Base of the pictures whose horizontal axis is the window, up to now."""

from __future__ import annotations

from kernelscope.ui.live.views.axes import time_ticks
from kernelscope.ui.live.views.base import Picture


class OverTime(Picture):
    """A picture over the window's time."""

    def show_window(self, window_s: float) -> None:
        """Draw the time axis again where the window's length changed."""
        if window_s != self._window_s:
            self._window_s = window_s
            time_ticks(self.axes, window_s)
            self.canvas.stale = True
