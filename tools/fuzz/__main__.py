"""Run a fuzzing campaign: script/fuzz [--inputs N] [--seed N] [--target NAME] [--record].

Exits with 1 where a reader raised an error that it does not document, crashed or hung.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tools.fuzz import campaign
from tools.fuzz.targets import ROOT, TARGETS, inputs, run_one

RECORD = ROOT / "docs" / "fuzzing.json"
PAGE = ROOT / "docs" / "fuzzing.md"
_COVERED = 500  # inputs of which the coverage is measured

_INTRODUCTION = """# Fuzzing

Anybody can write a recording, an Arrow file, a sidecar or a probe. `script/fuzz` feeds forged and
damaged ones to everything that reads them, in processes of their own. A reader may raise the errors
that it documents; any other exception, a crash, an input that takes more than 10 seconds or more
than 4 GiB is a finding. The tests run a hundred inputs per target each time (`tests/fuzz`);
`script/fuzz --inputs 20000 --record` makes this page. "Lines run" is the share of a reader's lines
that the inputs reached; lines that run at import, such as definitions, count as not reached.

An input is known by its target, seed and number: `script/fuzz --target recording --seed 1 --first
NUMBER --inputs 1` repeats it.
"""


def coverage_of(name: str, seed: int) -> float:
    """Return the share of the target's lines that its inputs run, in percent."""
    import coverage

    target = TARGETS[name]
    measured = coverage.Coverage(
        data_file=None, config_file=False, source_pkgs=list(target.packages)
    )
    with tempfile.TemporaryDirectory() as folder:
        measured.start()
        for _, data in inputs(target, seed, range(_COVERED)):
            run_one(target, data, Path(folder))
        measured.stop()
    with tempfile.TemporaryFile("w") as report:
        return measured.report(file=report)


def page(record: dict[str, Any]) -> str:
    """Return docs/fuzzing.md."""
    lines = [_INTRODUCTION]
    lines.append(
        f"Last campaign: {record['date']}, seed {record['seed']}, {record['inputs']:,} inputs,"
        f" {record['minutes']} minutes on one CPU. Open findings: {record['open']}.\n"
    )
    lines.append("| target | what it reads | inputs | slowest | lines run | open findings |")
    lines.append("| --- | --- | ---: | ---: | ---: | --- |")
    for row in record["targets"]:
        found = "; ".join(row["findings"]) or "none"
        lines.append(
            f"| {row['target']} | {row['reads']} | {row['inputs']:,} | {row['slowest_s']:.2f} s"
            f" | {row['lines']:.0f} % | {found} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the campaign and print its findings."""
    parser = argparse.ArgumentParser(prog="script/fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=2000, help="per target (2000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--target", choices=TARGETS, action="append")
    parser.add_argument("--record", action="store_true", help="write docs/fuzzing.md")
    asked = parser.parse_args()
    started = time.monotonic()
    rows: list[dict[str, Any]] = []
    for name in asked.target or TARGETS:
        found = campaign.run(name, seed=asked.seed, first=asked.first, count=asked.inputs)
        print(f"{name}: {found.inputs:,} inputs, slowest {found.slowest_s:.2f} s")
        for text, times in found.errors.most_common():
            print(f"  {times} x {text} (first: input {found.examples[text]})")
        lines = coverage_of(name, asked.seed) if asked.record else 0.0
        rows.append(
            {
                "target": name,
                "reads": TARGETS[name].reads,
                "inputs": found.inputs,
                "slowest_s": found.slowest_s,
                "lines": round(lines, 1),
                "findings": list(found.errors),
            }
        )
    opened = sum(len(row["findings"]) for row in rows)
    if asked.record:
        record = {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "seed": asked.seed,
            "inputs": sum(row["inputs"] for row in rows),
            "minutes": round((time.monotonic() - started) / 60),
            "open": opened,
            "targets": rows,
        }
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
        PAGE.write_text(page(record))
    return 1 if opened else 0


if __name__ == "__main__":
    sys.exit(main())
