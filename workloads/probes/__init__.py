"""Known loads, with a prime number of events each, and the facts from an independent source.

Each load is a function of its area's module that runs in a separate process and returns facts as
plain JSON values; names are unique among all areas. `started` runs one: the process waits until
`go` and stays, waiting, until the block ends.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
AREAS = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


class Load:
    """A load's process, which waits for `go`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid

    def go(self) -> dict[str, Any]:
        """Run the load and return its facts; the process then waits again."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        facts: dict[str, Any] = json.loads(self.process.stdout.readline())
        self.settle()
        return facts

    def settle(self) -> None:
        """Wait until the process waits for its next command and is idle."""
        while Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
            time.sleep(0.001)


def command(name: str, *arguments: str) -> list[str]:
    """Return the command that runs a load in a separate process."""
    return [sys.executable, "-I", str(FOLDER), name, *arguments]


@contextlib.contextmanager
def started(name: str, *arguments: str, under: tuple[str, ...] = ()) -> Iterator[Load]:
    """Start a load's process and wait until it is ready to `go`.

    under: a command that runs it, which must become it by exec (ip netns exec ..., nice ...).
    """
    with subprocess.Popen(
        [*under, *command(name, *arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        load = Load(process)
        load.settle()
        yield load


def names() -> set[str]:
    """Return every load's name; nothing is imported."""
    found: set[str] = set()
    for area in AREAS:
        text = (FOLDER / f"{area}.py").read_text()
        found |= set(re.findall(r"^def ([a-z]\w*)\(", text, re.MULTILINE))
    return found
