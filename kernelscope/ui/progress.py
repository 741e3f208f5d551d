"""Progress of a run: time left, events and lost events so far; removed when the run ends.

In a notebook one display that is updated in place, in a terminal one line on stderr, else nothing.
"""

from __future__ import annotations

import html
import math
import sys
import time
from typing import Any, Protocol

_EVERY_S = 0.25
_SHOW_AFTER_S = 0.6  # a run that has ended by then needs no display


class _Display(Protocol):
    def show(self, text: str) -> None: ...
    def clear(self, summary: str, /) -> None: ...


class Progress:
    """Call `update` at any rate and `clear` at the end."""

    def __init__(self, display: _Display | None = None) -> None:
        self._display = display if display is not None else _default_display()
        self._started = time.monotonic()
        self._next = self._started + _SHOW_AFTER_S
        self._shown = False

    def update(
        self, elapsed_s: float, duration_s: float, rows: int, lost: int, *, ending: bool = False
    ) -> None:
        """Show the state, at most four times per second."""
        now = time.monotonic()
        if self._display is None or now < self._next:
            return
        self._next = now + _EVERY_S
        self._shown = True
        waited = now - self._started
        self._display.show(line(elapsed_s, duration_s, rows, lost, ending=ending, waited_s=waited))

    def clear(self, elapsed_s: float) -> None:
        """Remove the display; where it cannot be removed, show how long the run was."""
        if self._display is not None and self._shown:
            self._display.clear(f"traced for {elapsed_s:.1f} s")


def line(
    elapsed_s: float,
    duration_s: float,
    rows: int,
    lost: int,
    *,
    ending: bool = False,
    waited_s: float = 0.0,
) -> str:
    """Return the state in one line: "3 s left · 12,345 events".

    waited_s: since the run was requested, for one that is not attached yet.
    """
    left = math.ceil(max(0.0, duration_s - elapsed_s)) if math.isfinite(duration_s) else None
    if ending or left == 0:
        parts = ["reading the last events"]
    elif elapsed_s == 0:
        parts = [f"compiling and attaching, {waited_s:.0f} s"]
    elif left is None:
        parts = [f"{elapsed_s:.0f} s, until stopped"]
    else:
        parts = [f"{left:,} s left"]
    if rows:
        parts.append(f"{rows:,} events")
    if lost:
        parts.append(f"{lost:,} LOST")
    return " · ".join(parts)


class _Terminal:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def show(self, text: str) -> None:
        self._stream.write(f"\r\x1b[K{text}")
        self._stream.flush()

    def clear(self, _summary: str) -> None:
        self._stream.write("\r\x1b[K")
        self._stream.flush()


class _Notebook:
    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, text: str) -> None:
        from IPython.display import display

        bundle = _bundle(text)
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)

    def clear(self, summary: str) -> None:
        """Remove the display; if the cell may have shown other output, replace it by a summary.

        The outputs of a cell can only be cleared together, and a single display cannot be removed.
        """
        from IPython.display import clear_output

        if _first_in_cell():
            clear_output()  # type: ignore[no-untyped-call]
        else:
            self._handle.update(_bundle(summary), raw=True)


def _bundle(text: str) -> dict[str, str]:
    shown = f'<span style="opacity:0.7">{html.escape(text)}</span>'
    return {"text/plain": text, "text/html": shown}


def note(text: str) -> None:
    """Show a line next to a result: in a notebook in the style of the progress, elsewhere print."""
    if not in_notebook():
        print(text)
        return
    from IPython.display import display

    display(_bundle(text), raw=True)  # type: ignore[no-untyped-call]


def _first_in_cell() -> bool:
    """Return whether the cell starts with the magic, so that it has no other output yet."""
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    request = shell.get_parent() if hasattr(shell, "get_parent") else {}
    code = str(request.get("content", {}).get("code", ""))
    return "%ebpf" in code.lstrip().partition("\n")[0]


def in_notebook() -> bool:
    """Return whether output goes to a Jupyter front end."""
    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def _default_display() -> _Display | None:
    if in_notebook():
        return _Notebook()
    return _Terminal(sys.stderr) if sys.stderr is not None and sys.stderr.isatty() else None
