"""Run probes under the loads of their checks and keep the results: script/record-probes."""

from __future__ import annotations

import argparse
import io
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from kernelscope.errors import AttachError, KernelScopeError
from kernelscope.plotting import choose
from kernelscope.probe import catalogue
from kernelscope.probe.model import Probe
from kernelscope.tables.results import Tables
from kernelscope.tracing.session import Session
from kernelscope.ui.cli.columns import fit, text_columns
from tools.record import probe_costs as costs
from tools.record import probe_records
from workloads.probes import Load, started

ROOT = Path(__file__).resolve().parents[2]

PICTURES = ROOT / "docs" / "probes"
ROWS = 12
WIDTHS = (100, 120, 140, 160)  # an example is as narrow as possible without hidden columns
SETTLE_S = 0.2
COST_ROUNDS = 3
LARGEST_PICTURE = 40 << 10
_FILTERS = ("pid", "comm", "uid", "cgroup")


@dataclass
class Seen:
    """One run under the load: its result, and its programs' statistics if they were counted."""

    result: pd.DataFrame | Tables
    runs: costs.Runs

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables by name."""
        if isinstance(self.result, Tables):
            return dict(self.result)
        return {str(self.result.attrs["kernelscope"]["table"]): self.result}

    @property
    def receipt(self) -> dict[str, Any]:
        """Return the run's receipt."""
        receipt: dict[str, Any] = next(iter(self.tables.values())).attrs["kernelscope"]
        return receipt


# --- the load -------------------------------------------------------------------------------------


@contextmanager
def place(wanted: str) -> Iterator[dict[str, str]]:
    """Create what "{file}", "{folder}" and, if used, "{disk}" refer to."""
    with tempfile.TemporaryDirectory(prefix="load-") as name:
        made = {"folder": f"{name}/folder", "file": f"{name}/file"}
        Path(made["folder"]).mkdir()
        Path(made["file"]).write_bytes(os.urandom(1 << 20))
        os.sync()
        if "{disk}" in wanted:
            losetup = ["losetup", "-f", "--show", made["file"]]
            made["disk"] = subprocess.run(
                losetup, capture_output=True, text=True, check=True
            ).stdout.strip()
        try:
            yield made
        finally:
            if "disk" in made:
                subprocess.run(["losetup", "-d", made["disk"]], check=True)


@contextmanager
def load_of(probe: Probe, *, filtered: bool = True) -> Iterator[tuple[Load, dict[str, Any]]]:
    """Start the load of the probe's check, which waits for `go`; return the check's options too.

    Without filters the whole machine is traced.
    """
    check = probe.check
    with place(f"{check.arguments} {check.options}") as made:
        arguments = [_filled(argument, made) for argument in check.arguments]
        with started(check.load, *arguments) as load:
            made["pid"] = str(load.pid)
            options = {
                name: _filled(value, made) if isinstance(value, str) else value
                for name, value in check.options.items()
                if filtered or name not in _FILTERS
            }
            yield load, options


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def trace(session: Session, probe: Probe, *, filtered: bool = True) -> Seen:
    """Run the probe while its load runs."""
    with load_of(probe, filtered=filtered) as (load, options):
        with session.start(probe, duration=60, exclude_self=True, **options) as run:
            load.go()
            time.sleep(SETTLE_S)
            runs = costs.runs_under(session.agent.pid)
        return Seen(run.result(), runs)


# --- the parts ------------------------------------------------------------------------------------


def example(session: Session, probe: Probe) -> str:
    """Write the first table into the description, as a terminal shows it."""
    seen = trace(session, probe)
    table = next(iter(seen.tables.values()))
    text = "\n".join([*_lines(table), *["..."] * (len(table) > ROWS)])
    for mine in (str(ROOT), sys.prefix):
        if mine in text:
            print(f"{probe.name}: the example names {mine}: restrict it with [check] options")
    _edit(probe, lambda toml: _with_example(toml, text))
    return f"example of {len(text.splitlines())} lines"


def _lines(table: pd.DataFrame) -> list[str]:
    for width in WIDTHS:
        fitted = fit(text_columns(table.head(ROWS)), width)
        if not fitted.same and not fitted.hidden:
            break
    return [fitted.heading(), *fitted.lines()]


def _with_example(toml: str, text: str) -> str:
    made = f"example = '''\n{text}\n'''\n"
    old = re.compile(r"^example = ('''.*?'''|\"\"\".*?\"\"\"|\"[^\n]*\"|'[^\n]*')\n", re.M | re.S)
    if old.search(toml):
        return old.sub(lambda _: made, toml, count=1)
    return toml.replace("[overhead]", f"{made}\n[overhead]", 1)


def picture(session: Session, probe: Probe) -> str:
    """Write the default plot of the probe's first plotted table to docs/probes."""
    seen = trace(session, probe)
    wanted = probe.plots[0]
    table = seen.tables[wanted.table] if wanted.table else next(iter(seen.tables.values()))
    receipt = {**table.attrs["kernelscope"], "started": "", "host": ""}
    table.attrs["kernelscope"] = receipt
    drawn = io.BytesIO()
    choose.default(table).savefig(drawn, format="png", dpi=100)
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f"{probe.name}.png"
    with Image.open(drawn) as image:
        small = image.convert("RGB").quantize(32, dither=Image.Dither.NONE)
        small.save(path, optimize=True)
    size = path.stat().st_size
    if size > LARGEST_PICTURE:
        print(f"{probe.name}: its picture has {size:,} bytes, more than {LARGEST_PICTURE:,}")
    return f"picture of {size:,} bytes"


def cost(session: Session, probe: Probe) -> str:
    """Measure the probe's cost and write it into the description and docs/probes.json."""
    with costs.counted():
        seen = [trace(session, probe, filtered=False) for _ in range(COST_ROUNDS)]
    found = [costs.ns_per_event(each.result, each.runs) for each in seen]
    known = [ns for ns in found if ns is not None]
    ns = costs.rounded(min(known)) if known else None
    with load_of(probe, filtered=False) as (_, options):
        felt = costs.overhead(lambda: session.start(probe, duration=60, **options))
    if ns is not None:
        _edit(probe, lambda toml: _with_cost(toml, ns))
    receipt = trace(session, probe).receipt
    row = {
        "hooks": sorted({hook.partition("=")[0] for hook in receipt["hooks"]}),
        "rows": sum(receipt["rows"].values()),
        "ns_per_event": ns,
        "overhead": felt,
    }
    note(probe, row)
    return f"{ns} ns per event, a flood of system calls takes {felt['ratio']} times as long"


def note(probe: Probe, row: dict[str, Any]) -> None:
    """Write a probe's results on this kernel into docs/probes.json."""
    release = re.match(r"\d+\.\d+(\.\d+)?", platform.release())
    assert release is not None
    series = ".".join(release[0].split(".")[:2])
    probe_records.note(series, release[0], {probe.name: row})


def _with_cost(toml: str, ns: float) -> str:
    line = f"ns_per_event = {ns:g}"
    if re.search(r"^ns_per_event = .*$", toml, re.M):
        return re.sub(r"^ns_per_event = .*$", line, toml, count=1, flags=re.M)
    return re.sub(r"^(level = .*)$", rf"\1\n{line}", toml, count=1, flags=re.M)


def _edit(probe: Probe, edit: Callable[[str], str]) -> None:
    text = probe.path.read_text(encoding="utf-8")
    new = edit(text)
    if new != text:
        probe.path.write_text(new, encoding="utf-8")


PARTS: dict[str, Callable[[Session, Probe], str]] = {
    "example": example,
    "plot": picture,
    "cost": cost,
}


def main() -> int:
    """Record the requested parts; the exit status is 1 if one failed."""
    parser = argparse.ArgumentParser(prog="script/record-probes", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", default=catalogue.names())
    for part, function in PARTS.items():
        help_text = (function.__doc__ or "").partition("\n")[0]
        parser.add_argument(
            f"--{part}", action="append_const", dest="parts", const=part, help=help_text
        )
    asked = parser.parse_args()
    failed = False
    with Session() as session:
        for name in asked.names:
            for part in asked.parts or PARTS:
                try:
                    print(f"{name}: {PARTS[part](session, catalogue.find(name))}", flush=True)
                except AttachError as error:
                    note(catalogue.find(name), {"refused": error.message})
                    print(f"{name}: this kernel does not support it: {error.message}", flush=True)
                except (KernelScopeError, AssertionError, OSError, ValueError, KeyError) as error:
                    print(f"{name}: no {part}: {type(error).__name__}: {error}", file=sys.stderr)
                    failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
