"""Runs the benchmarks: python -m benchmarks [--rounds N] [--only CASE] [--long] [--quick]."""

from __future__ import annotations

import argparse
import sys

from benchmarks import cases, report


def main() -> None:
    """Measure and write benchmarks/results.json and benchmarks/RESULTS.md."""
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each case is measured (5)")
    parser.add_argument("--only", choices=list(cases.CASES), action="append", help="this case only")
    parser.add_argument("--long", action="store_true", help="also 100 M events, for the memory")
    parser.add_argument("--quick", action="store_true", help="small loads: to try the benchmarks")
    options = parser.parse_args()
    size = cases.QUICK if options.quick else cases.Size()
    figures: list[cases.Figure] = []
    with cases.headers_for_bcc() as headers:
        for number in range(1, options.rounds + 1):
            for name in options.only or cases.CASES:
                sys.stderr.write(f"round {number} of {options.rounds}: {name}\n")
                figures += cases.CASES[name](size)
        if options.long:
            sys.stderr.write("memory\n")
            figures += cases.memory(size)
    text = report.markdown(figures, options.rounds, headers)
    sys.stdout.write(text)
    if options.quick or options.only:
        sys.stderr.write("a part of the benchmarks: results are not kept\n")
    else:
        report.keep(figures, text)


if __name__ == "__main__":
    main()
