"""docs/probes.json: results of each probe on each kernel, for script/make-docs.

By a kernel's series: its release, and for each probe the hooks that it used, the rows that its
check gave, and its cost if that was measured.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PATH = Path(__file__).resolve().parents[2] / "docs" / "probes.json"


def read(path: Path = PATH) -> dict[str, Any]:
    """Return the record; an empty one if there is none yet."""
    if not path.is_file():
        return {"kernels": {}}
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def note(
    series: str, release: str, probes: Mapping[str, Mapping[str, Any]], path: Path = PATH
) -> None:
    """Write the results of some probes on a kernel; those of other probes stay.

    A probe that the kernel does not support has only "refused": the reason.
    """
    path.parent.mkdir(exist_ok=True)
    with alone(path.parent):
        record = read(path)
        kernel = record["kernels"].setdefault(series, {"probes": {}})
        kernel["release"] = release
        for name, seen in probes.items():
            known = kernel["probes"].get(name, {})
            whole = "refused" in seen or "refused" in known
            kernel["probes"][name] = dict(seen) if whole else {**known, **seen}
        kernel["probes"] = dict(sorted(kernel["probes"].items()))
        kernels = sorted(record["kernels"].items(), key=lambda item: version(item[0]))
        record["kernels"] = dict(kernels)
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lock the record against other writers."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def version(series: str) -> tuple[int, ...]:
    """Return a series as numbers, to sort by."""
    return tuple(int(part) for part in series.split("."))
