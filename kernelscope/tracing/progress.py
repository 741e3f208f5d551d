"""What a run reports to while its caller waits for the result; `ui.progress.Progress` is one."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A display of a run's state."""

    def update(
        self, elapsed_s: float, duration_s: float, rows: int, lost: int, *, ending: bool = False
    ) -> None:
        """Show the state. ending: the run was stopped and its last data is being read."""

    def clear(self, elapsed_s: float) -> None:
        """Remove the display."""
