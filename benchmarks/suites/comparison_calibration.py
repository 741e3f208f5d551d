"""Does `kernelscope.compare` report only real changes, and find them?

    python -m benchmarks.suites.comparison_calibration --pairs 200      # some 8 minutes, as root

A steady load (steady.c) is captured repeatedly, every second time with its long sleeps, which
determine its p99, a tenth longer. Equal neighbours must be reported as unchanged, different ones
must have a changed p99. Each capture is compared twice: as a histogram whose events are treated as
independent, and in blocks of time from reading it at intervals.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

import kernelscope
from kernelscope.analysis import readings
from kernelscope.comparison import Comparison, compare

_SOURCE = Path(__file__).parents[2] / "workloads" / "bench" / "steady.c"
_WAYS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "independent": readings.last,
    "in blocks": lambda table: table,
}


def main() -> None:
    """Run it and print the verdicts."""
    asked = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "steady"
        subprocess.run(["cc", "-O2", "-o", program, _SOURCE, "-lm", "-pthread"], check=True)
        load = subprocess.Popen([program, str(asked.threads)], stdout=subprocess.PIPE)
        try:
            assert load.stdout is not None
            load.stdout.readline()
            calm, slowed = _captures(load, asked)
        finally:
            load.kill()
            load.wait()
    for name, way in _WAYS.items():
        same = [compare(way(a), way(b)) for a, b in itertools.pairwise(calm)]
        other = [compare(way(a), way(b)) for a, b in zip(calm, slowed, strict=False)]
        print(f"{name}: {calm[0]['time'].nunique()} readings, {_events(calm[0]):,} events each")
        _report("unchanged", same, sum(not each.changed for each in same))
        _report("p99 + 10 %", other, sum(_changed(each, "p99") for each in other))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--duration", type=float, default=1.0, help="seconds of each capture")
    parser.add_argument("--interval", type=float, default=0.05, help="seconds between readings")
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--keep", type=Path, help="also write the captures to this folder")
    return parser.parse_args()


def _captures(
    load: subprocess.Popen[bytes], asked: argparse.Namespace
) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    """Capture in turn: normal, slowed, normal, ...; one more normal than slowed."""
    found: tuple[list[pd.DataFrame], list[pd.DataFrame]] = ([], [])
    for number in range(2 * asked.pairs + 1):
        load.send_signal(signal.SIGUSR1 if number % 2 else signal.SIGUSR2)
        time.sleep(0.06)  # the longest sleeps that started before the end
        tables: Any = kernelscope.run(
            "syscount", duration=asked.duration, interval=asked.interval, pid=load.pid
        )
        sleeps = tables["latency"]
        sleeps = sleeps[sleeps["syscall"] == "clock_nanosleep"].reset_index(drop=True)
        found[number % 2].append(sleeps)
        if asked.keep:
            sleeps.ks.save(asked.keep / f"{number:03}.parquet")
    return found


def _events(table: pd.DataFrame) -> int:
    return int(readings.last(table)["count"].sum())


def _changed(comparison: Comparison, what: str) -> bool:
    return bool(comparison.changes.set_index("what").loc[what, "changed"])


def _report(name: str, made: list[Comparison], right: int) -> None:
    print(f"  {name:<12} {right} of {len(made)} ({right / len(made):.1%})")
    called = Counter(
        what for each in made for what in each.changes.query("changed")["what"].tolist()
    )
    changes = pd.concat([each.changes for each in made]).groupby("what", sort=False)
    for what, rows in changes:
        print(
            f"    {what:<5} called changed {called[what]:>3}; change "
            f"{rows['change'].mean():+.1%}, sd {rows['change'].std():.1%}; "
            f"interval's width {(rows['high'] - rows['low']).mean():.1%}"
        )


if __name__ == "__main__":
    main()
