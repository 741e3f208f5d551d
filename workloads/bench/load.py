"""Loads whose number of events is known: load.c, built once. Standard library only, Python 3.9.

`calls` writes to file descriptor 100 and says how often, and nothing else does: a program that
looks at the process and the descriptor sees as many events and not one more.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("load.c")
DESCRIPTOR = 100


def built() -> str:
    """Return the load's program, compiled now if it is not there. Raises CalledProcessError."""
    name = "load-" + hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    program = SOURCE.parent / "build" / name
    if not program.exists():
        program.parent.mkdir(exist_ok=True)
        made = program.with_name(f"{name}.{os.getpid()}")
        subprocess.run(["cc", "-O2", "-o", str(made), str(SOURCE)], check=True)
        made.replace(program)
    return str(program)


class Load:
    """A load that waits to begin; its process id is known before, for a program to look for."""

    def __init__(
        self,
        count: int,
        kind: str = "calls",
        *,
        rate: float = 0,
        size: int = 1,
        seconds: float = 1e6,
        cpu: int | None = None,
    ) -> None:
        """cpu: the only one that it may run on."""
        self.count = count
        command = [built(), kind, str(count)]
        if kind == "calls":
            command += [str(rate), str(size), str(seconds)]
        elif kind == "reads":
            command += [str(SOURCE.parent / "build" / "file")]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=None if cpu is None else lambda: os.sched_setaffinity(0, {cpu}),
        )
        self._out.readline()  # it is ready

    @property
    def _out(self) -> Any:
        return self._process.stdout

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, how) is not None

    def begin(self) -> None:
        """Let it run."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.close()
        self._process.stdin = None

    def wait(self) -> dict[str, float]:
        """Wait for the end; returns the load's figures.

        events; load_s: how long it took; load_cpu_s: its time on a CPU, which holds what is
        traced in its context and does not grow when something else wants the CPU.
        """
        with self._out as out:
            said = out.read().split()
        if self._process.wait() or len(said) != 3:
            raise RuntimeError(f"the load ended with {self._process.returncode} and said {said}")
        events, took, cpu = map(int, said)
        return {"events": events, "load_s": took / 1e9, "load_cpu_s": cpu / 1e9}

    def run(self) -> dict[str, float]:
        """Begin, and wait."""
        self.begin()
        return self.wait()

    def end(self) -> None:
        """Stop it, at once."""
        self._process.kill()
        self._process.wait()


def ns_each(figures: dict[str, float]) -> float:
    """Return the CPU time of each event in ns."""
    return figures["load_cpu_s"] / figures["events"] * 1e9
