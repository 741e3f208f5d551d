"""Shows how a run is going: time left, events so far, lost so far; gone when it is over.

In a notebook one display that is updated in place, in a terminal one line on stderr, else nothing.
"""

from __future__ import annotations

import html
import math
import sys
import time
from typing import Any, Protocol

_EVERY_S = 0.25
_SHOW_AFTER_S = 0.6  # a run that is over by then needs no display


class _Shower(Protocol):
    def show(self, text: str) -> None: ...
    def clear(self, summary: str, /) -> None: ...


class Progress:
    """Call `update` as often as you like and `clear` at the end."""

    def __init__(self, shower: _Shower | None = None) -> None:
        self._shower = shower if shower is not None else _fitting()
        self._began = time.monotonic()
        self._next = self._began + _SHOW_AFTER_S
        self._shown = False

    def update(
        self, elapsed_s: float, duration_s: float, rows: int, lost: int, *, ending: bool = False
    ) -> None:
        """Show the state, at most four times a second."""
        now = time.monotonic()
        if self._shower is None or now < self._next:
            return
        self._next = now + _EVERY_S
        self._shown = True
        self._shower.show(line(elapsed_s, duration_s, rows, lost, ending=ending))

    def clear(self, elapsed_s: float) -> None:
        """Take the display away; where it must stay, it says how long the run was."""
        if self._shower is not None and self._shown:
            self._shower.clear(f"traced for {elapsed_s:.1f} s")


def line(elapsed_s: float, duration_s: float, rows: int, lost: int, *, ending: bool = False) -> str:
    """Return the state in one line: "3 s left · 12,345 events"."""
    left = math.ceil(max(0.0, duration_s - elapsed_s)) if math.isfinite(duration_s) else None
    if ending or left == 0:
        parts = ["reading what is left"]
    elif elapsed_s == 0:
        parts = ["compiling and attaching"]
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
        """Take the display away; where the cell may have shown other things, sum up in its place.

        A cell's outputs can only be cleared all together, and a display cannot be taken back.
        """
        from IPython.display import clear_output

        if _first_in_cell():
            clear_output()  # type: ignore[no-untyped-call]
        else:
            self._handle.update(_bundle(summary), raw=True)


def _bundle(text: str) -> dict[str, str]:
    shown = f'<span style="opacity:0.7">{html.escape(text)}</span>'
    return {"text/plain": text, "text/html": shown}


def _first_in_cell() -> bool:
    """Return whether the cell begins with the magic, so that nothing else was shown before it."""
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


def _fitting() -> _Shower | None:
    if in_notebook():
        return _Notebook()
    return _Terminal(sys.stderr) if sys.stderr is not None and sys.stderr.isatty() else None
