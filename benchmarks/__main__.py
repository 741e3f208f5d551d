"""Runs the benchmarks: python -m benchmarks [--full] [--only PART]... [--rounds N] [--report]."""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks.measure import results_store
from benchmarks.measure.measurement import Figure, Form, prepared_bcc
from benchmarks.report import report
from benchmarks.suites import soak, tool_comparison

SHORT_ROUNDS, FULL_ROUNDS = 2, 3
# Parts that vary little between rounds, or take long, are measured once in a run.
_ONCE = ("live", "overhead", "probes", "scale")
_ONCE_IN_SHORT = ("flood", *_ONCE)


def main() -> None:
    """Measure, add to results/results.json, and write benchmarks/RESULTS.md."""
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="every row: 26 minutes, not 3")
    parser.add_argument(
        "--only", choices=list(tool_comparison.PARTS), action="append", help="this part only"
    )
    parser.add_argument("--rounds", type=int, help="how often each part is measured")
    parser.add_argument("--report", action="store_true", help="measure nothing, write RESULTS.md")
    parser.add_argument("--soak", type=float, metavar="S", help="one run of this length: 3600")
    options = parser.parse_args()
    if options.soak:
        soak.soak(options.soak, 10_000)
    elif not options.report:
        _measure(options)
    report.write()


def _measure(options: argparse.Namespace) -> None:
    rounds = options.rounds or (FULL_ROUNDS if options.full else SHORT_ROUNDS)
    form = Form(options.full, rounds)
    chosen = options.only or list(tool_comparison.PARTS)
    found: dict[str, list[list[Figure]]] = {name: [] for name in chosen}
    took = dict.fromkeys(chosen, 0.0)
    with prepared_bcc() as headers:
        for number in range(1, rounds + 1):
            for name in chosen:
                if number > 1 and name in (_ONCE if options.full else _ONCE_IN_SHORT):
                    continue
                clock = time.strftime("%H:%M:%S")
                sys.stderr.write(f"{clock} round {number} of {rounds}: {name}\n")
                begun = time.monotonic()
                try:
                    found[name].append(tool_comparison.PARTS[name](form))
                except Exception as error:  # a failed part must not lose the figures of the others
                    sys.stderr.write(f"{name} failed: {error}\n")
                    continue
                finally:
                    took[name] += time.monotonic() - begun
                results_store.add(name, form, headers, took[name], found[name])


if __name__ == "__main__":
    main()
