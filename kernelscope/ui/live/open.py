"""Opens live views in a notebook, for the magic and for `kernelscope.live`.

Each cell has one view: running the cell again ends the view before. A view also ends when no page
shows it (`widgets/panel.py`), and its probes end with the notebook's process (the agent).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

from kernelscope.errors import ParameterError
from kernelscope.io.recording import SUFFIX
from kernelscope.plotting.theme import THEMES
from kernelscope.probe import catalogue
from kernelscope.probe.model import Probe
from kernelscope.tracing import option_groups, options
from kernelscope.tracing.replay import PacedReplay
from kernelscope.tracing.run import Run
from kernelscope.tracing.session import Session, default_session
from kernelscope.ui import command_line
from kernelscope.ui.live import view_options
from kernelscope.ui.live.choose import kinds
from kernelscope.ui.live.tracer import Tracer
from kernelscope.ui.live.view_options import ViewOptions
from kernelscope.ui.live.views import SIZE
from kernelscope.ui.live.widgets.panel import Panel
from kernelscope.ui.live.widgets.track import Track
from kernelscope.ui.progress import in_notebook

# What `%ebpf live` shows without a name: an overview of the machine.
DASHBOARD = (
    ("syscount", "bars", "syscall"),
    ("syscount", "bars", "comm"),
    ("runqlat", "heatmap", ""),
    ("biolatency", "heatmap", ""),
    ("profile", "bars", "comm"),
    ("tcplife", "table", ""),
)
_USAGE = f"""Usage: %ebpf live [NAME...] [options]   (until stopped, or for --duration)
       %ebpf live FILE.ksr... [options] (a recording, at its original speed)

Show probes while they run. Without a name: an overview of the whole machine.

  --window TIME     Time in view, from 5s to 10m (60s)
  --refresh N       Frames per second (10)
  --view KIND       {", ".join(kinds())}
  --theme THEME     {" or ".join(THEMES)}
  --size WxH        Size of each picture in pixels ({SIZE[0]}x{SIZE[1]})
  --speed N         Speed of a recording, relative to the original (1)
  -o, --out NAME    Bind the view to this name

The options of a run and of each probe work too: %ebpf NAME --help
"""
_TILE = (460, 230)

_views: dict[str, LiveView] = {}
_lock = threading.Lock()


class LiveView:
    """A live view. The last line of a cell shows it; `stop` and `close` end it."""

    def __init__(self, panel: Panel, execution: object = None) -> None:
        self.panel = panel
        self._execution = execution  # of the cell that created and displayed it

    @property
    def runs(self) -> list[Run]:
        """The runs in view that have started."""
        return [t.tracer.run for t in self.panel.tracks if t.tracer.run is not None]

    @property
    def running(self) -> bool:
        """Whether a probe is attached or about to be."""
        return self.panel.running

    def stop(self) -> None:
        """End the probes. The picture stays; the start button starts them again."""
        self.panel.stop()

    def close(self) -> None:
        """End the probes and the drawing."""
        self.panel.close()

    def _ipython_display_(self) -> None:
        """Show it, but not a second time below the cell that created it."""
        if self._execution is not None and self._execution == _execution():
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
    """Show probes while they run. Without a name: an overview of the whole machine.

    names: probes, one run that was started before, or recordings (FILE.ksr), which are replayed at
    `speed` times their original speed; several are shown one below the other on one time axis.
    window: the time in view, in seconds or as "10m" (at most ten minutes). refresh: frames per
    second. view: "distribution", "heatmap", "percentiles", "bars", "throughput", "table" or
    "flamegraph"; by default the probe's own. given: options as in `run`; without `duration` it
    traces until stopped.
    Raises ParameterError, also outside a notebook, and ProbeNotFoundError.
    """
    how = view_options.checked(window, refresh, view, theme, size, speed)
    session = session or default_session()
    runs = [each for each in names if isinstance(each, Run)]
    if runs:
        return _open_run(session, runs[0], [*names[1:], *given], how)
    return _open(session, [name for name in names if isinstance(name, str)], given, how)


def from_line(line: str, session: Session, defaults: Mapping[str, Any]) -> LiveView:
    """Serve `%ebpf live [NAME...] [options]`."""
    tokens = command_line.split(line)
    how, rest = view_options.parse(tokens)
    recordings = [token for token in rest if _is_recording(token)]
    rest = [token for token in rest if token not in recordings]
    parsed = command_line.parse(rest, catalogue.find, prog="%ebpf live")
    wanted = options.split_output(parsed.given)
    for name in (*options.FILES, "bg"):
        if name in wanted:
            raise ParameterError(
                f"--{name} cannot be combined with a live view",
                hint="the view's save button writes files, and other cells can run meanwhile",
                name=name,
            )
    given = {k: v for k, v in parsed.given.items() if k not in ("out", "quiet")}
    shown: list[str | Probe] = [*recordings, *parsed.probes]
    view = _open(session, shown, given if recordings else {**defaults, **given}, how)
    if "out" in wanted:
        _bind(str(wanted["out"]), view)
    return view


def usage() -> str:
    """Return the text of `%ebpf live --help`."""
    return _USAGE


def _open_run(session: Session, run: Run, others: Sequence[object], how: ViewOptions) -> LiveView:
    """Open a view of a run that was started before."""
    if others:
        raise ParameterError(
            f"{others[0]}: a view of a run takes no other probes and no options of a run",
            hint="open a second view",
            name=str(others[0]),
        )
    _require_notebook()
    tracer = Tracer(session, run.name, dict(run.request.parameters), run=run)
    return _show([Track(tracer, how.size, kind=how.kind)], how, session)


def _open(
    session: Session, names: Sequence[str | Probe], given: dict[str, Any], how: ViewOptions
) -> LiveView:
    _require_notebook()
    if not names:
        if given:
            raise ParameterError("options need the name of a probe", name="probe")
        tracers = {name: Tracer(session, name) for name, _, _ in DASHBOARD}
        tiles = [
            Track(tracers[name], _TILE, kind=kind, label=label, bare=True)
            for name, kind, label in DASHBOARD
        ]
        return _show(tiles, replace(how, rate=min(how.rate, 2)), session, columns=2)
    if any(_is_recording(name) for name in names):
        return _show(_recorded(session, names, given, how), how, session)
    probes = [catalogue.find(name) if isinstance(name, str) else name for name in names]
    shares: Mapping[str, Mapping[str, Any]] = {probes[0].name: given}
    if len(probes) > 1:
        shares = option_groups.shared_out(given, option_groups.distinct(probes), where="magic")
    for probe in probes:  # the cell raises errors in options; a thread could not
        session.plan(probe, shares[probe.name], where="magic")
    tracks = [
        Track(Tracer(session, probe.name, shares[probe.name]), how.size, kind=how.kind)
        for probe in probes
    ]
    return _show(tracks, how, session)


def _is_recording(name: str | Probe) -> TypeGuard[str]:
    return isinstance(name, str) and name.endswith(SUFFIX)


def _recorded(
    session: Session, names: Sequence[str | Probe], given: Mapping[str, Any], how: ViewOptions
) -> list[Track]:
    """Return the tracks of recordings. Raises ParameterError and RecordingError."""
    wrong = [name for name in names if not _is_recording(name)] or list(given)
    if wrong:
        raise ParameterError(
            f"{wrong[0]}: recordings cannot be combined with probes or with options of a run",
            hint="open a second view for the probes",
            name=wrong[0],
        )
    tracks = []
    for name in filter(_is_recording, names):
        open_run = partial(_replay, Path(name), how.speed)
        recorded_name = PacedReplay(Path(name)).request.name
        tracer = Tracer(session, recorded_name, open_run=open_run)
        tracks.append(Track(tracer, how.size, kind=how.kind))
    return tracks


def _replay(path: Path, speed: float) -> Run:
    paced = PacedReplay(path, speed)
    return Run(paced, paced.request, recorded=True)


def _show(tracks: list[Track], how: ViewOptions, session: Session, columns: int = 1) -> LiveView:
    from IPython.display import display

    def add() -> Track:
        return Track(Tracer(session, "", window_s=how.window_s), how.size)

    panel = Panel(
        tracks,
        window_s=how.window_s,
        rate=how.rate,
        theme=how.theme,
        columns=columns,
        add=add if columns == 1 else None,
        busy=_cell_is_running,
        bind=_bind,
    )
    view = LiveView(panel, _execution())
    watch(_shell())
    _replace_view_of_cell(view)
    panel.start()
    display(panel.widget)  # type: ignore[no-untyped-call]
    return view


def _replace_view_of_cell(view: LiveView) -> None:
    """End the view that this cell showed before."""
    cell = _cell()
    with _lock:
        for name, other in list(_views.items()):
            if name == cell:
                other.close()
                del _views[name]
            elif not other.running:
                del _views[name]
        _views[cell or f"view {id(view)}"] = view


# --- the notebook --------------------------------------------------------------------------------


def _shell() -> Any:
    from IPython.core.getipython import get_ipython

    return get_ipython()


def _require_notebook() -> None:
    if not in_notebook():
        raise ParameterError(
            "a live view needs a notebook: JupyterLab, Notebook 7 or VS Code",
            hint="in a terminal: kernelscope live NAME",
            name="live",
        )


def _cell() -> str:
    """Return the id of the running cell; "" where the page does not send one."""
    shell = _shell()
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    metadata = parent.get("metadata", {})
    return str(metadata.get("cellId") or "")


def _execution() -> object:
    """Return what identifies this execution of the running cell; None where nothing does."""
    shell = _shell()
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return parent.get("header", {}).get("msg_id") or getattr(shell, "execution_count", None)


def _bind(name: str, value: Any) -> None:
    _shell().user_ns[name] = value


_running = threading.Event()


def _cell_is_running() -> bool:
    return _running.is_set()


def watch(shell: Any) -> None:
    """Track from now on whether the kernel's main thread runs a cell, as it does now."""
    if not getattr(shell, "_kernelscope_watched", False):
        shell._kernelscope_watched = True
        shell.events.register("pre_run_cell", lambda *_: _running.set())
        shell.events.register("post_run_cell", lambda *_: _running.clear())
        _running.set()
