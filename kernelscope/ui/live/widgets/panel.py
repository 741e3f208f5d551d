"""The live view: a bar of controls, one or more probes on one time axis, and a status line."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from kernelscope.errors import KernelScopeError
from kernelscope.plotting.theme import THEMES
from kernelscope.ui.live.draw_loop import DrawLoop
from kernelscope.ui.live.frame_pacing import FramePacer
from kernelscope.ui.live.widgets import comm_routing, save, status
from kernelscope.ui.live.widgets.row_table import kept
from kernelscope.ui.live.widgets.track import Track

WINDOWS = {"10 s": 10, "30 s": 30, "1 min": 60, "2 min": 120, "5 min": 300, "10 min": 600}
RATES = {"10 per second": 10, "5 per second": 5, "2 per second": 2, "1 per second": 1}
_SILENT_S = 60.0  # without an answer, the page is taken for closed; a sleeping one needs as long
_CLOSED_S = 10.0
_ASK_EVERY_S = 10.0
_BUTTONS_WAIT = "buttons wait until the running cell ends (this page has no subshells)"


class Panel:
    """The whole view. Display `widget`; `close` ends everything.

    busy: whether the kernel's main thread runs a cell. bind: assigns a table to a variable.
    """

    def __init__(
        self,
        tracks: Sequence[Track],
        *,
        window_s: float = 60,
        rate: float = 10,
        theme: str = "light",
        add: Callable[[], Track] | None = None,
        columns: int = 1,
        busy: Callable[[], bool] = lambda: False,
        bind: Callable[[str, Any], None] | None = None,
    ) -> None:
        self.tracks = list(tracks)
        self.pacer = FramePacer(rate)
        self.theme = THEMES[theme]
        self._columns = columns
        self._add = add
        self._busy = busy
        self._bind = bind
        self._in_main: bool | None = None
        self._shown_at = time.monotonic()
        self._was_seen = False
        self._hidden_at: float | None = None
        self._make_bar(window_s, rate)
        self._make_save_bar()
        self._message = widgets.HTML()
        self._status = widgets.HTML()
        self._screens = widgets.VBox()
        self._sent = widgets.IntText(0)
        self._seen = widgets.IntText(0)
        self._link = widgets.jsdlink((self._sent, "value"), (self._seen, "value"))
        self._seen.observe(self._answered, "value")
        bars = [self._bar, self._save_bar, self._message]
        self.widget = widgets.VBox([*bars, self._screens, self._status])
        self.widget._view_count = 0  # the page reports how often it shows this
        self.widget.observe(self._looked_at, "_view_count")
        self.loop = DrawLoop(self.pacer, self._draw, self._report, self._failed, self._is_idle)
        self._sent_at = self._status_at = 0.0
        self._status_shown: tuple[tuple[str, ...], bool] | None = None
        for track in self.tracks:
            self._connect(track)
        self._arrange()
        comm_routing.answer_in_subshell(self.widget, self._seen)
        for track in self.tracks:
            track.tracer.resize(window_s)

    # --- start and end ---------------------------------------------------------------------------

    def start(self) -> None:
        """Start the probes that do not run already, and draw."""
        self._message.value = ""
        self._pause.value = False
        self._shown_at = time.monotonic()
        self._hidden_at = None
        self.pacer.seen_at = None
        for track in self.tracks:
            if track.tracer.name and track.tracer.state not in ("running", "starting"):
                track.tracer.start()
        self.loop.start()

    def stop(self, why: str = "") -> None:
        """End the probes; the picture stays."""
        for track in self.tracks:
            track.tracer.stop()
        if why:
            self._show_message(why)
        self._show_status(time.monotonic())  # the kernel may end before the loop reports again

    def close(self) -> None:
        """End everything at once."""
        for track in self.tracks:
            track.tracer.close()
        self.loop.stop()

    @property
    def running(self) -> bool:
        """Whether any probe is attached or about to be."""
        return any(track.tracer.state in ("running", "starting") for track in self.tracks)

    def _connect(self, track: Track) -> None:
        """Have the loop woken where something changes in a track."""
        track.acted = self.loop.wake
        if self.loop.wake not in track.tracer.changed:  # tiles share tracers
            track.tracer.changed.append(self.loop.wake)

    def _is_idle(self) -> bool:
        """Return whether nothing changes any more until a user acts."""
        return all(track.tracer.settled for track in self.tracks)

    # --- widgets ---------------------------------------------------------------------------------

    def _make_bar(self, window_s: float, rate: float) -> None:
        slim = widgets.Layout(width="84px")
        self._go = widgets.Button(description="stop", icon="stop", layout=slim)
        self._pause = widgets.ToggleButton(
            description="pause",
            icon="pause",
            tooltip="Stop drawing; events still count",
            layout=slim,
        )
        self._reset = widgets.Button(
            description="reset", icon="undo", tooltip="Start again from 0", layout=slim
        )
        wide = widgets.Layout(width="84px")
        self._window = widgets.Dropdown(
            options=_with(WINDOWS, window_s, "s"),
            value=window_s,
            tooltip="Time in view",
            layout=wide,
        )
        self._rate = widgets.Dropdown(
            options=_with(RATES, rate, "per second"),
            value=rate,
            tooltip="Frames per second",
            layout=widgets.Layout(width="112px"),
        )
        self._dark = widgets.ToggleButton(
            self.theme.name == "dark",
            description="dark",
            icon="adjust",
            tooltip="Dark pictures",
            layout=slim,
        )
        self._keep = widgets.ToggleButton(
            description="save", icon="download", tooltip="Save the view", layout=slim
        )
        more = widgets.Button(
            description="add", icon="plus", tooltip="Add a probe below", layout=slim
        )
        shown = [self._go, self._pause, self._reset, self._window, self._rate, self._dark]
        shown += [self._keep, *([more] if self._add else [])]
        self._bar = widgets.HBox(shown, layout=widgets.Layout(flex_flow="row wrap"))
        self._go.on_click(self._guarded(self._start_or_stop))
        self._reset.on_click(self._guarded(self._clear))
        more.on_click(self._guarded(self._add_track))
        self._pause.observe(self._paused, "value")
        self._window.observe(self._resized, "value")
        self._rate.observe(self._paced, "value")
        self._dark.observe(self._themed, "value")
        self._keep.observe(self._opened, "value")

    def _make_save_bar(self) -> None:
        slim = widgets.Layout(width="84px")
        buttons = []
        for kind in ("CSV", "Parquet", "PNG"):
            button = widgets.Button(
                description=kind, tooltip="Write a file in the notebook's folder", layout=slim
            )
            button.on_click(self._guarded(partial(self._save, kind.lower())))
            buttons.append(button)
        self._name = widgets.Text(
            "live", description="variable", layout=widgets.Layout(width="180px")
        )
        frame = widgets.Button(
            description="to DataFrame",
            tooltip="Assign the rows in view to the variable",
            layout=widgets.Layout(width="110px"),
        )
        frame.on_click(self._guarded(self._to_frame))
        code = widgets.Button(
            description="show code",
            tooltip="Show the code of this view, to copy",
            layout=widgets.Layout(width="110px"),
        )
        code.on_click(self._guarded(self._show_code))
        shown = [*buttons, *([self._name, frame] if self._bind else []), code]
        layout = widgets.Layout(display="none", flex_flow="row wrap")
        self._save_bar = widgets.HBox(shown, layout=layout)

    def _arrange(self) -> None:
        rows = []
        for first in range(0, len(self.tracks), self._columns):
            part = [track.widget for track in self.tracks[first : first + self._columns]]
            rows.append(part[0] if self._columns == 1 else widgets.HBox(part))
        self._screens.children = rows

    def _guarded(self, act: Callable[[], None]) -> Callable[[Any], None]:
        """Return a button's callback that shows errors in the view."""

        def acted(_: Any) -> None:
            try:
                act()
            except KernelScopeError as error:
                hint = f". {error.hint}" if error.hint else ""
                self._show_message(f"{error.message}{hint}", wrong=True)
            except Exception as error:
                self._failed(error)

        return acted

    # --- the user's actions ----------------------------------------------------------------------

    def _start_or_stop(self) -> None:
        if self.running:
            self.stop()
        else:
            self.start()
        self._show_state()

    def _clear(self) -> None:
        for track in self.tracks:
            track.tracer.clear()
        self.loop.wake()

    def _add_track(self) -> None:
        if self._add is not None:
            self.tracks.append(self._add())
            self._connect(self.tracks[-1])
            self._arrange()

    def _paused(self, change: dict[str, Any]) -> None:
        self.loop.paused = bool(change["new"])
        self.loop.wake()

    def _resized(self, change: dict[str, Any]) -> None:
        for track in self.tracks:
            track.tracer.resize(float(change["new"]))
        self.loop.wake()

    def _paced(self, change: dict[str, Any]) -> None:
        self.pacer.wanted = float(change["new"])

    def _themed(self, change: dict[str, Any]) -> None:
        self.theme = THEMES["dark" if change["new"] else "light"]
        self.loop.wake()

    def _opened(self, change: dict[str, Any]) -> None:
        self._save_bar.layout.display = None if change["new"] else "none"

    def _save(self, kind: str) -> None:
        written = []
        for track in self.tracks:
            view = track.chosen
            if view is None:
                continue
            if kind == "png":
                if track.screen.png:
                    png = track.screen.png
                    written.append(save.write_picture(track.tracer, view.kind, png, Path.cwd()))
            else:
                written.append(save.write_table(track.tracer, view.table, kind, Path.cwd()))
        self._show_message("\n".join(f"wrote {path}" for path in written) or "nothing to save yet")

    def _to_frame(self) -> None:
        name = self._name.value.strip()
        if not name.isidentifier():
            self._show_message(f"{name!r} is not a valid variable name", wrong=True)
            return
        lines = []
        for number, track in enumerate(self.tracks):
            if track.chosen is None or self._bind is None:
                continue
            frame = kept(track.tracer, track.chosen.table)
            each = name if number == 0 else f"{name}_{track.tracer.name}"
            self._bind(each, frame)
            lines.append(f"{each}: {len(frame):,} rows of {track.chosen.table}")
        self._show_message("\n".join(lines) or "no rows to keep yet")

    def _show_code(self) -> None:
        shown = [track for track in self.tracks if track.tracer.name]
        kinds = [track.chosen.kind if track.chosen else "" for track in shown]
        tracers = [track.tracer for track in shown]
        self._show_message(save.code(tracers, kinds, float(self._window.value)))

    # --- called by the draw loop -----------------------------------------------------------------

    def _draw(self, now: float) -> bool:
        drawn = [track.draw(self.theme, now) for track in self.tracks]
        if self.running and now - self._sent_at > _ASK_EVERY_S:
            self.pacer.beat()  # so that a closed page is noticed where nothing changes
        if self.pacer.group != self._sent.value:
            self._sent.value, self._sent_at = self.pacer.group, now
        return any(drawn)

    def _report(self, now: float) -> None:
        for track in self.tracks:
            track.report()
        self._show_status(now)
        self._stop_unseen(now)

    def _show_status(self, now: float) -> None:
        """Show how the runs are; a running view sends this often enough for the page to notice."""
        self._show_state()
        tracers = dict.fromkeys(t.tracer for t in self.tracks if t.tracer.name)
        found = [status.facts(tracer) for tracer in tracers]
        frames = ""
        if self.running and not self.loop.paused:
            frames = status.frames_text(self.pacer.rate(now), self.pacer.wanted, self.pacer.dropped)
        note = _BUTTONS_WAIT if self._in_main else ""
        lines = status.text(found, paused=self.loop.paused, frames=frames, note=note)
        shown = (tuple(lines), self.running)
        if shown == self._status_shown and not self.running:
            return
        if shown == self._status_shown and now - self._status_at < status.HEARTBEAT_S:
            return
        self._status_shown, self._status_at = shown, now
        lost = any(each.lost for each in found)
        self._status.value = status.as_html(
            lines, lost=lost, running=self.running, at=datetime.now()
        )

    def _show_state(self) -> None:
        word = "stop" if self.running else "start"
        if self._go.description != word:
            self._go.description = word
            self._go.icon = "stop" if word == "stop" else "play"

    def _failed(self, error: Exception) -> None:
        self._show_message(f"{type(error).__name__}: {error}", wrong=True)

    def _show_message(self, text: str, *, wrong: bool = False) -> None:
        self._message.value = status.message(text, wrong=wrong)

    # --- whether a page shows it -----------------------------------------------------------------

    def _answered(self, change: dict[str, Any]) -> None:
        self._in_main = threading.current_thread() is threading.main_thread()
        self.pacer.answered(int(change["new"]), time.monotonic())

    def _looked_at(self, change: dict[str, Any]) -> None:
        count = change["new"]
        if count:
            self._was_seen, self._hidden_at = True, None
        elif self._was_seen:
            self._hidden_at = time.monotonic()

    def _stop_unseen(self, now: float) -> None:
        """Stop a view that no page shows: the notebook, the output or the cell is closed."""
        if not self.running:
            return
        if self._busy() and self._in_main is not False:
            self._shown_at = now  # answers wait until the cell ends
            return
        last = max(self._shown_at, self.pacer.seen_at or 0.0)
        closed = self._hidden_at is not None and now - self._hidden_at > _CLOSED_S
        silent = not self.loop.paused and now - last > _SILENT_S
        if closed or silent:
            self.stop("stopped: no page shows this view any more")


def _with(known: Mapping[str, float], value: float, unit: str) -> list[tuple[str, float]]:
    shown = known if value in known.values() else {**known, f"{value:g} {unit}": value}
    return sorted(shown.items(), key=lambda item: item[1])
