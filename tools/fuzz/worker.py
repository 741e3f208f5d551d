"""Reads inputs in a process of its own, so that a crash or a hang ends that process alone.

    python -m tools.fuzz.worker TARGET SEED FIRST COUNT

It prints a JSON line before each input and one after it.
"""

from __future__ import annotations

import json
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tools.fuzz.targets import TARGETS, inputs, run_one

SECONDS = 10  # an input may take; then the process is ended
MEMORY = 4 << 30


def _line(**values: object) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def main(name: str, seed: int, first: int, count: int) -> None:
    """Read `count` inputs from number `first` on."""
    target = TARGETS[name]
    _line(warm=str(run_one(target, target.make(random.Random(0)), _folder())))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    for number, data in inputs(target, seed, range(first, first + count)):
        _line(input=number)
        signal.alarm(SECONDS)
        started = time.monotonic()
        error = run_one(target, data, _folder())
        signal.alarm(0)
        where = traceback.extract_tb(error.__traceback__)[-1] if error else None
        found = f"{type(error).__name__} in {where.name}: {error}" if error and where else None
        _line(done=number, error=found, seconds=round(time.monotonic() - started, 3))


def _folder() -> Path:
    for path in _SCRATCH.iterdir():
        path.unlink()
    return _SCRATCH


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="ks-fuzz-") as scratch:
        _SCRATCH = Path(scratch)
        main(sys.argv[1], *map(int, sys.argv[2:5]))
