"""Opens live views in a notebook: for the magic, for `kernelscope.live` and for `Run.live`.

One cell has one view: running it again ends the one before. Everything else that ends a view is in
`panel.py` (nobody looks any more) and in the agent (the notebook's process is gone).
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from kernelscope import converters
from kernelscope.errors import KernelScopeError, ParameterError
from kernelscope.plotting.theme import THEMES
from kernelscope.probe import catalogue
from kernelscope.tracing import option_groups, options
from kernelscope.tracing.replay import PacedReplay
from kernelscope.tracing.run import Run
from kernelscope.tracing.session import Session, default_session
from kernelscope.ui import parser as command_line
from kernelscope.ui.live.pictures.base import SIZE
from kernelscope.ui.live.tracer import Tracer
from kernelscope.ui.live.views import KINDS
from kernelscope.ui.live.widgets.panel import Panel
from kernelscope.ui.live.widgets.track import Track
from kernelscope.ui.progress import in_notebook

# What `%ebpf live` without a name shows: a first look at the machine.
DASHBOARD = (
    ("syscount", "bars", "syscall"),
    ("syscount", "bars", "comm"),
    ("runqlat", "heatmap", ""),
    ("biolatency", "heatmap", ""),
    ("profile", "bars", "comm"),
    ("tcplife", "table", ""),
)
_USAGE = f"""Usage: %ebpf live [NAME...] [options]   (until stopped, or for --duration)
       %ebpf live FILE.ksr... [options] (a recording, as it went on)

Shows probes while they run; without a name, a first look at the whole machine.

  --window TIME     What is in view: 10s to 10m (60s)
  --refresh N       Frames a second (10)
  --view KIND       {", ".join(KINDS)}
  --theme THEME     {" or ".join(THEMES)}
  --size WxH        Of each picture, in pixels ({SIZE[0]}x{SIZE[1]})
  --speed N         Of a recording: how many times as fast as it was (1)
  -o, --out NAME    Bind the view to this name

All options of a run, and of the probes themselves: %ebpf NAME --help
"""
_TILE = (460, 230)
_LEAST, _MOST = (320, 200), (2000, 1200)

_views: dict[str, LiveView] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Look:
    """How a view looks: window in seconds, frames a second, theme, view's kind, size in pixels.

    speed: how fast a recording goes on.
    """

    window_s: float = 60
    rate: float = 10
    theme: str = "light"
    kind: str | None = None
    size: tuple[int, int] = SIZE
    speed: float = 1


class LiveView:
    """The handle on a live view. The last line of a cell shows it; `stop` and `close` end it."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        self._shown = True

    @property
    def runs(self) -> list[Run]:
        """The runs that are in view, as far as they have begun."""
        return [t.tracer.run for t in self.panel.tracks if t.tracer.run is not None]

    @property
    def running(self) -> bool:
        """Whether anything is attached, or about to be."""
        return self.panel.running

    def stop(self) -> None:
        """End the probes; the picture stays, and "start" begins anew."""
        self.panel.stop()

    def close(self) -> None:
        """End the probes and the drawing."""
        self.panel.close()

    def _ipython_display_(self) -> None:
        """Show it, but not a second time below the cell that made it."""
        if self._shown:
            self._shown = False
            return
        from IPython.display import display

        display(self.panel.widget)  # type: ignore[no-untyped-call]

    def __repr__(self) -> str:
        names = ", ".join(track.tracer.name for track in self.panel.tracks)
        return f"<kernelscope live view of {names}: {'running' if self.running else 'stopped'}>"


def live(
    *names: str | Run,
    window: float | str = 60,
    refresh: float = 10,
    view: str | None = None,
    theme: str = "light",
    size: tuple[int, int] = SIZE,
    speed: float = 1,
    session: Session | None = None,
    **given: Any,
) -> LiveView:
    """Show probes while they run; without a name, a first look at the whole machine.

    names: a run that has started already, or the names of probes or of recordings (FILE.ksr, which
    play `speed` times as fast as they were recorded); each below the other on one time axis.
    window: what is in view, in seconds or as "10m" (at most ten minutes). refresh: frames per
    second. view: "distribution", "heatmap", "percentiles", "bars", "throughput", "table" or
    "flamegraph"; by default the probe's own.
    given: options as `run` has them; it traces until stopped unless `duration` is given.
    Raises ParameterError, also outside a notebook, and ProbeNotFoundError.
    """
    look = _looked(window, refresh, view, theme, size, speed)
    runs = [name for name in names if isinstance(name, Run)]
    if runs:
        return _of_run(runs[0], look, [*names[1:], *given])
    shown = [name for name in names if isinstance(name, str)]
    return _open(session or default_session(), shown, given, look)


def _of_run(run: Run, look: Look, others: Sequence[object]) -> LiveView:
    """Show a run that has started already."""
    if others:
        raise ParameterError(
            f"{others[0]}: a run that has started is shown alone, with the options it has",
            hint="show probes in a view of their own",
            name=str(others[0]),
        )
    _require_notebook()
    tracer = Tracer(default_session(), run.name, dict(run.request.parameters), run=run)
    return _show([Track(tracer, look.size, kind=look.kind)], look, default_session())


def from_line(line: str, session: Session, defaults: Mapping[str, Any]) -> LiveView:
    """Serve `%ebpf live [NAME...] [options]`."""
    tokens = command_line.split(line)
    look, rest = _look_of(tokens)
    recordings = [token for token in rest if _is_recording(token)]
    rest = [token for token in rest if token not in recordings]
    parsed = command_line.parse(rest, catalogue.find, prog="%ebpf live")
    names = parsed.targets or ((parsed.target,) if parsed.target else ())
    wanted = options.of_output(parsed.given)
    for name in (*options.FILES, "bg"):
        if name in wanted:
            raise ParameterError(
                f"--{name} does not go with a live view",
                hint="its save button writes files, and other cells run anyway",
                name=name,
            )
    given = {k: v for k, v in parsed.given.items() if k not in ("out", "quiet")}
    shown = [*recordings, *(str(name) for name in names)]
    made = _open(session, shown, given if recordings else {**defaults, **given}, look)
    if "out" in wanted:
        _bind(str(wanted["out"]), made)
    return made


def usage() -> str:
    """Return what `%ebpf live --help` shows."""
    return _USAGE


def _open(session: Session, names: Sequence[str], given: dict[str, Any], look: Look) -> LiveView:
    _require_notebook()
    if not names:
        if given:
            raise ParameterError("which probe? There are options and no name", name="probe")
        tracers = {name: Tracer(session, name) for name, _, _ in DASHBOARD}
        tiles = [
            Track(tracers[name], _TILE, kind=kind, label=label, bare=True)
            for name, kind, label in DASHBOARD
        ]
        return _show(tiles, replace(look, rate=min(look.rate, 2)), session, columns=2)
    if any(_is_recording(name) for name in names):
        return _show(_recorded(session, names, given, look), look, session)
    probes = [catalogue.find(name) for name in names]
    shares: Mapping[str, Mapping[str, Any]] = {names[0]: given}
    if len(names) > 1:
        found = option_groups.probes_of(list(names), probes)
        shares = option_groups.shared_out(given, found, where="magic")
    for probe in probes:  # what is wrong with an option is said by the cell, not by a thread
        session.request(probe, None, shares[probe.name], where="magic")
    tracks = [
        Track(Tracer(session, probe.name, shares[probe.name]), look.size, kind=look.kind)
        for probe in probes
    ]
    return _show(tracks, look, session)


def _is_recording(name: str) -> bool:
    return name.endswith(".ksr")


def _recorded(
    session: Session, names: Sequence[str], given: Mapping[str, Any], look: Look
) -> list[Track]:
    """Return the tracks of recordings. Raises ParameterError and RecordingError."""
    wrong = [name for name in names if not _is_recording(name)] or list(given)
    if wrong:
        raise ParameterError(
            f"{wrong[0]}: recordings go on as they were, without other probes and options",
            hint="look at probes in a view of their own",
            name=wrong[0],
        )
    tracks = []
    for name in names:
        begin = partial(_begin_recording, Path(name), look.speed)
        subject = PacedReplay(Path(name)).request.name
        tracks.append(Track(Tracer(session, subject, begin=begin), look.size, kind=look.kind))
    return tracks


def _begin_recording(path: Path, speed: float) -> Run:
    paced = PacedReplay(path, speed)
    return Run(paced, paced.request, recorded=True)


def _show(tracks: list[Track], look: Look, session: Session, columns: int = 1) -> LiveView:
    from IPython.display import display

    def add() -> Track:
        return Track(Tracer(session, "", window_s=look.window_s), look.size)

    panel = Panel(
        tracks,
        window_s=look.window_s,
        rate=look.rate,
        theme=look.theme,
        columns=columns,
        add=add if columns == 1 else None,
        busy=_cell_runs,
        bind=_bind,
    )
    made = LiveView(panel)
    watch(_shell())
    _take_place(made)
    panel.begin()
    display(panel.widget)  # type: ignore[no-untyped-call]
    return made


def _take_place(made: LiveView) -> None:
    """End the view that this cell showed before."""
    cell = _cell()
    with _lock:
        for name, other in list(_views.items()):
            if name == cell:
                other.close()
                del _views[name]
            elif not other.running:
                del _views[name]
        _views[cell or f"view {id(made)}"] = made


# --- the notebook around -------------------------------------------------------------------------


def _shell() -> Any:
    from IPython.core.getipython import get_ipython

    return get_ipython()


def _require_notebook() -> None:
    if not in_notebook():
        raise ParameterError(
            "a live view needs a notebook: JupyterLab, Notebook 7 or VS Code",
            hint="in a terminal, kernelscope run NAME shows the result at the end",
            name="live",
        )


def _cell() -> str:
    """Return the id of the cell that runs; "" where the page does not send one."""
    shell = _shell()
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    metadata = parent.get("metadata", {})
    return str(metadata.get("cellId") or "")


def _bind(name: str, value: Any) -> None:
    _shell().user_ns[name] = value


_running = threading.Event()


def _cell_runs() -> bool:
    return _running.is_set()


def watch(shell: Any) -> None:
    """Learn from now on whether a cell runs in the kernel's main thread, as it does now."""
    if not getattr(shell, "_kernelscope_watched", False):
        shell._kernelscope_watched = True
        shell.events.register("pre_run_cell", lambda *_: _running.set())
        shell.events.register("post_run_cell", lambda *_: _running.clear())
        _running.set()


# --- what is asked for ---------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ParameterError(message.removeprefix("argument "), name="live")


def _look_of(tokens: Sequence[str]) -> tuple[Look, list[str]]:
    parser = _Parser(prog="%ebpf live", add_help=False, allow_abbrev=False)
    parser.add_argument("--window", default="60")
    parser.add_argument("--refresh", default="10")
    parser.add_argument("--view")
    parser.add_argument("--theme", default="light")
    parser.add_argument("--speed", default="1")
    parser.add_argument("--size", default=f"{SIZE[0]}x{SIZE[1]}")
    found, rest = parser.parse_known_args(tokens)
    try:
        width, height = (int(part) for part in found.size.split("x"))
    except ValueError:
        raise ParameterError(f"--size {found.size}: is not like 600x300", name="size") from None
    size = width, height
    look = _looked(found.window, found.refresh, found.view, found.theme, size, found.speed)
    return look, rest


def _looked(
    window: Any,
    refresh: Any,
    view: str | None,
    theme: str,
    size: tuple[int, int] = SIZE,
    speed: Any = 1,
) -> Look:
    """Check how a view is to look. Raises ParameterError."""
    try:
        window_s, rate, times = converters.run_time(window), float(refresh), float(speed)
    except (ValueError, KernelScopeError) as error:
        raise ParameterError(
            f"window {window}, refresh {refresh}, speed {speed}: {error}", name="window"
        ) from None
    checks = {
        f"window {window}: must be from 5 s to 10 min": 5 <= window_s <= 600,
        f"refresh {refresh}: must be from 0.2 to 30 a second": 0.2 <= rate <= 30,
        f"speed {speed}: must be from 0.01 to 1000": 0.01 <= times <= 1000,
        f"view {view}: is none of {', '.join(KINDS)}": view is None or view in KINDS,
        f"theme {theme}: is none of {', '.join(THEMES)}": theme in THEMES,
        f"size {size}: must be from 320x200 to 2000x1200": all(
            low <= given <= high for low, given, high in zip(_LEAST, size, _MOST, strict=True)
        ),
    }
    for said, holds in checks.items():
        if not holds:
            raise ParameterError(said, name=said.partition(" ")[0])
    return Look(window_s, rate, theme, view, size, times)
