"""A load whose number of events is known: dd, one byte at a time.

dd reads file descriptor 0 and writes file descriptor 1 exactly `count` times each; all else that
it does (its libraries, its report) uses other descriptors, so a program that looks at the
descriptor sees 2 x count events and not one more. Standard library only, any Python from 3.9.
"""

from __future__ import annotations

import os
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
    def over(self) -> bool:
        """Whether dd has ended."""
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, how) is not None

    def begin(self) -> None:
        """Let dd run."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.close()
        self._process.stdin = None

    def wait(self) -> dict[str, float]:
        """Wait for the end; returns the load's figures.

        events; load_s: how long dd says that it took; load_cpu_s: its time on a CPU, which holds
        what is traced in its context and does not grow when something else wants the CPU.
        """
        assert self._process.stderr is not None
        with self._process.stderr as stderr:
            said = stderr.read()
        _, status, usage = os.wait4(self.pid, 0)
        self._process.returncode = status
        took = re.search(r"copied, ([\d.e+-]+) s", said)
        if took is None:
            raise RuntimeError(f"dd said {said!r}")
        return {
            "events": 2 * self.count,
            "load_s": float(took.group(1)),
            "load_cpu_s": usage.ru_utime + usage.ru_stime,
        }


def untraced_ns(count: int) -> float:
    """Return how many ns of CPU time each event takes when nothing traces it."""
    load = Load(count)
    load.begin()
    return ns_each(load.wait())


def ns_each(figures: dict[str, float]) -> float:
    """Return the CPU time of each event in ns."""
    return figures["load_cpu_s"] / figures["events"] * 1e9
