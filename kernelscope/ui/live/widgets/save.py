"""What a live view saves: files in the notebook's folder, and code that runs it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from kernelscope.io import tabular
from kernelscope.io.atomic_write import write_bytes
from kernelscope.probe.parameters import flag_of
from kernelscope.tracing import options
from kernelscope.ui.live.tracer import Tracer
from kernelscope.ui.live.widgets.row_table import kept

_WINDOW_S = 60.0  # of a view without --window


def file_name(tracer: Tracer, kind: str, suffix: str) -> str:
    """Return a file's name with the time in it: "runqlat-latency-20260101-120000.csv"."""
    return f"{tracer.name}-{kind}-{datetime.now():%Y%m%d-%H%M%S}.{suffix}"


def write_table(tracer: Tracer, table: str, suffix: str, folder: Path) -> Path:
    """Write the table in view as "csv" or "parquet". Raises ExportError."""
    writers = {"csv": tabular.to_csv, "parquet": tabular.to_parquet}
    return writers[suffix](kept(tracer, table), folder / file_name(tracer, table, suffix))


def write_picture(tracer: Tracer, kind: str, png: bytes, folder: Path) -> Path:
    """Write the picture in view. Raises ExportError."""
    return write_bytes(folder / file_name(tracer, kind, "png"), png)


def code(tracers: Sequence[Tracer], kinds: Sequence[str] = (), window_s: float = 60) -> str:
    """Return the lines that show the same view again, and that measure the same.

    kinds: of each tracer's view. Probes without options of their own share one line.
    """
    shown = [*dict.fromkeys(tracers)]
    window = f" --window {window_s:g}s" if window_s != _WINDOW_S else ""
    view = f" --view {kinds[0]}" if kinds and kinds[0] and len(set(kinds)) == 1 else ""
    together = len(shown) == 1 or not any(tracer.options for tracer in shown)
    groups = [shown] if together else [[tracer] for tracer in shown]
    lines = [
        " ".join(["%ebpf live", *(w for t in group for w in (t.name, *_words(t, t.options)))])
        + window
        + view
        for group in groups
    ]
    for tracer in shown:
        arguments = [repr(tracer.name), *(f"{k}={_plain(v)!r}" for k, v in tracer.options.items())]
        lines.append(" ".join(["%ebpf", tracer.name, *_words(tracer, tracer.options)]))
        lines.append(f"kernelscope.run({', '.join(arguments)})")
    return "\n".join(lines)


def _words(tracer: Tracer, chosen: Mapping[str, Any]) -> list[str]:
    probe = tracer.probe
    own = {p.name: flag_of(p) for p in probe.parameters} if probe else {}
    common = {option.name: option.flags[-1] for option in options.OPTIONS}
    words = []
    for name, value in chosen.items():
        flag = own.get(name) or common.get(name, f"--{name}")
        words.append(flag if value is True else f"{flag} {shlex.quote(str(value))}")
    return words


def _plain(value: Any) -> Any:
    """Return a number as a number: widgets hold text."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value
