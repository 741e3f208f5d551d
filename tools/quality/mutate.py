"""Change the code in small ways and count the changes that the unit tests notice: script/mutate.

The changes are cosmic-ray's: an operator, a constant, a condition at a time. They are made in a
copy of the checkout, so that the working tree stays as it is.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

ROOT = Path(__file__).resolve().parents[2]
# What a wrong result would come from.
CORE = (
    "kernelscope/agent/attach/bytecode.py",
    "kernelscope/agent/run/drain_pacing.py",
    "kernelscope/agent/run/send_queue.py",
    "kernelscope/agent/source/record_types.py",
    "kernelscope/analysis",
    "kernelscope/comparison.py",
    "kernelscope/io/recording.py",
    "kernelscope/plotting/bins.py",
    "kernelscope/plotting/charts.py",
    "kernelscope/protocol",
    "kernelscope/tables",
    "kernelscope/tracing/bpftrace/lines.py",
    "kernelscope/tracing/losses.py",
    "kernelscope/ui/live/counting",
)
CONFIG = """[cosmic-ray]
module-path = {modules}
timeout = {timeout}
excluded-modules = []
test-command = {command!r}

[cosmic-ray.distributor]
name = "local"
"""


def copied(folder: Path) -> Path:
    """Copy what git tracks, as it is in the working tree."""
    copy = folder / "kernelscope"
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.split("\0"):
        source = ROOT / name
        if name and source.is_file():
            target = copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    return copy


def sampled(session: Path, size: int, seed: int) -> int:
    """Mark all but a random sample of the mutants as skipped; return how many there are."""
    with use_db(session, WorkDB.Mode.open) as database:
        jobs = sorted(item.job_id for item in database.work_items)
        kept = set(random.Random(seed).sample(jobs, min(size, len(jobs))))
        for job in jobs:
            if job not in kept:
                skipped = WorkResult(worker_outcome=WorkerOutcome.SKIPPED, output="not sampled")
                database.set_result(job, skipped)
    return len(jobs)


def report(session: Path, total: int) -> int:
    """Print the survivors and the score; return the exit code, 1 where a mutant survived."""
    killed, survivors = 0, []
    with use_db(session, WorkDB.Mode.open) as database:
        for item, result in database.completed_work_items:
            if result.worker_outcome == WorkerOutcome.SKIPPED:
                continue
            if result.test_outcome == TestOutcome.SURVIVED:
                survivors += [(mutation, result.diff) for mutation in item.mutations]
            else:
                killed += 1
    for mutation, diff in survivors:
        print(
            f"\nsurvived: {mutation.module_path}:{mutation.start_pos[0]} {mutation.operator_name}"
        )
        print("\n".join((diff or "").splitlines()[2:]))
    tried = killed + len(survivors)
    print(f"\n{killed} of {tried} mutants killed, a sample of {total}")
    return int(bool(survivors))


def main() -> int:
    """Run the mutants and report the score."""
    parser = argparse.ArgumentParser(prog="script/mutate", description=__doc__)
    parser.add_argument("modules", nargs="*", default=CORE, help="files or folders (the core)")
    parser.add_argument("--sample", type=int, default=48, help="mutants to try (48)")
    parser.add_argument("--seed", type=int, default=0, help="which mutants (0)")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for each (600)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = copied(Path(folder))
        config, session = copy / "mutants.toml", copy / "mutants.sqlite"
        command = f"{sys.executable} -m pytest -x -q -p no:cacheprovider tests/unit"
        config.write_text(
            CONFIG.format(modules=list(options.modules), timeout=options.timeout, command=command)
        )
        run = [sys.executable, "-m", "cosmic_ray.cli"]
        environment = {**os.environ, "PYTHONPATH": str(copy)}  # not the package that is installed
        subprocess.run(
            [*run, "init", config.name, session.name], cwd=copy, env=environment, check=True
        )
        total = sampled(session, options.sample, options.seed)
        subprocess.run(
            [*run, "exec", config.name, session.name], cwd=copy, env=environment, check=True
        )
        return report(session, total)


if __name__ == "__main__":
    sys.exit(main())
