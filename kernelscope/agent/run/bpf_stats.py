"""What a run's programs cost: the kernel's BPF run statistics, taken in short windows.

Counting costs two clock reads for every run of every program on the machine (BPF_ENABLE_STATS,
kernel/bpf/core.c), so it is on for a fiftieth of the time: a tenth showed in the cost of tracing.
`recursion_misses` needs no statistics and is exact: runs that the kernel skipped because the same
program was already running on that CPU.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kernelscope.agent.kernel import clock, syscalls

WINDOW_NS = 20_000_000
PERIOD_NS = 1_000_000_000
_NEVER_NS = 1 << 63
_FIRST_WINDOWS = 2  # taken back to back, so that a short run has a sample as well


@dataclass
class _Counts:
    runs: int = 0
    time_ns: int = 0


class RunStats:
    """Samples run counts and times of `programs` (function name -> program fd).

    Call `tick` with the monotonic clock soon after `next_tick_ns` (a delay only makes a window
    longer, and its length is measured), and `result` once at the end.
    """

    def __init__(self, programs: Mapping[str, int]) -> None:
        self._programs = dict(programs)
        self._sampled = {name: _Counts() for name in programs}
        self._first: dict[str, syscalls.ProgramInfo] = {}
        self._switch = -1
        self._opened_ns = 0
        self._windows = 0
        self._measured_ns = 0
        self._refused = ""

    @property
    def next_tick_ns(self) -> int:
        """When `tick` has something to do next, on the monotonic clock."""
        if self._refused:
            return _NEVER_NS
        if self._switch >= 0:
            return self._opened_ns + WINDOW_NS
        return self._opened_ns + (WINDOW_NS if self._windows < _FIRST_WINDOWS else PERIOD_NS)

    def tick(self, now_ns: int) -> None:
        """Open or close a window when it is due."""
        if now_ns < self.next_tick_ns:
            return
        if self._switch >= 0:
            self.close()
        else:
            self._open()

    def close(self) -> None:
        """Close the open window, if any; best before the programs are detached."""
        if self._switch < 0:
            return
        last = self._infos()
        self._measured_ns += clock.monotonic_ns() - self._opened_ns
        self._windows += 1
        with suppress(OSError):
            os.close(self._switch)
        self._switch = -1
        for name, info in last.items():
            before = self._first[name]
            self._sampled[name].runs += info.run_cnt - before.run_cnt
            self._sampled[name].time_ns += info.run_time_ns - before.run_time_ns

    def result(self) -> dict[str, Any]:
        """End the sampling and return plain JSON values.

        windows, windows_s: how many windows, and their total length (s). refused: why none, or "".
        programs: name -> sampled_runs, ns_per_run (None without a sample), cpu_share (of one CPU,
            during the windows; None likewise), recursion_misses (whole run).
        """
        self.close()
        return self.so_far()

    def so_far(self) -> dict[str, Any]:
        """Return the same for the windows that have ended; the sampling continues."""
        return {
            "windows": self._windows,
            "windows_s": self._measured_ns / 1e9,
            "refused": self._refused,
            "programs": {name: self._program(name) for name in self._programs},
        }

    def recursion_misses(self) -> int:
        """Return how many runs the kernel skipped so far, over all programs."""
        return sum(syscalls.obj_info_prog(fd).recursion_misses for fd in self._programs.values())

    def _program(self, name: str) -> dict[str, Any]:
        counts, total = self._sampled[name], self._measured_ns
        return {
            "sampled_runs": counts.runs,
            "ns_per_run": counts.time_ns / counts.runs if counts.runs else None,
            "cpu_share": counts.time_ns / total if total else None,
            "recursion_misses": syscalls.obj_info_prog(self._programs[name]).recursion_misses,
        }

    def _open(self) -> None:
        try:
            self._switch = syscalls.enable_stats()
        except OSError as error:
            self._refused = error.strerror or str(error)
            return
        self._first = self._infos()
        self._opened_ns = clock.monotonic_ns()

    def _infos(self) -> dict[str, syscalls.ProgramInfo]:
        return {name: syscalls.obj_info_prog(fd) for name, fd in self._programs.items()}
