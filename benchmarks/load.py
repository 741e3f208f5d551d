"""A load whose number of events is known: dd, one byte at a time.

dd reads file descriptor 0 and writes file descriptor 1 exactly `count` times each; all else that
it does (its libraries, its report) uses other descriptors, so a program that looks at the
descriptor sees 2 x count events and not one more. Standard library only, any Python from 3.9.
"""

from __future__ import annotations

import re
import subprocess

_WAIT_THEN_DD = "read go; exec dd if=/dev/zero of=/dev/null bs=1 count={count}"


class Load:
    """dd, waiting to begin; its process id is known before, for a program to look for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _WAIT_THEN_DD.format(count=count)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        )

    @property
    def pid(self) -> int:
        """The process that will be dd."""
        return self._process.pid

    @property
    def events(self) -> int:
        """How many reads and writes it makes in all."""
        return 2 * self.count

    @property
    def over(self) -> bool:
        """Whether dd has ended."""
        return self._process.poll() is not None

    def begin(self) -> None:
        """Let dd run."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.close()
        self._process.stdin = None

    def wait(self) -> float:
        """Wait for the end and return how many seconds dd says that it took."""
        _, said = self._process.communicate()
        took = re.search(r"copied, ([\d.e+-]+) s", said)
        if took is None:
            raise RuntimeError(f"dd said {said!r}")
        return float(took.group(1))


def untraced(count: int) -> float:
    """Return how many seconds the load takes when nothing traces it."""
    load = Load(count)
    load.begin()
    return load.wait()
