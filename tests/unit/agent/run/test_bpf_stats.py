"""When the kernel's run statistics are on, and what happens to them."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

from kernelscope.agent.kernel import syscalls
from kernelscope.agent.run import bpf_stats as module
from kernelscope.agent.run.bpf_stats import RunStats

MS = 1_000_000


@dataclass
class FakeKernel:
    """A kernel with one program that runs once a millisecond for 5,000 ns while counted."""

    now_ns: int = 1_000_000 * MS
    on_since: int = -1
    counted_ns: int = 0
    switched_on: int = 0
    refuses: bool = False

    def enable_stats(self) -> int:
        if self.refuses:
            raise PermissionError(1, "Operation not permitted")
        self.on_since = self.now_ns
        self.switched_on += 1
        return os.open("/dev/null", os.O_RDONLY)

    def info(self, fd: int) -> syscalls.ProgramInfo:
        assert fd == 3
        runs = (self.now_ns - self.on_since) // MS + 100 * self.switched_on
        return syscalls.ProgramInfo(runs, runs * 5000, recursion_misses=3, verified_insns=1)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    made = FakeKernel()
    monkeypatch.setattr(syscalls, "enable_stats", made.enable_stats)
    monkeypatch.setattr(syscalls, "obj_info_prog", made.info)
    monkeypatch.setattr(module.clock, "monotonic_ns", lambda: made.now_ns)  # type: ignore[attr-defined]
    return made


def run_for(stats: RunStats, fake: FakeKernel, duration_ns: int) -> None:
    end = fake.now_ns + duration_ns
    while fake.now_ns < end:
        stats.tick(fake.now_ns)
        fake.now_ns += 5 * MS


def test_two_windows_come_first_then_one_per_second(fake: FakeKernel) -> None:
    stats = RunStats({"on_read": 3})
    run_for(stats, fake, 4_050 * MS)
    result = stats.result()
    assert fake.switched_on == 6
    assert result["windows"] == 6
    assert result["windows_s"] == pytest.approx(0.12)


def test_very_short_run_still_has_a_window(fake: FakeKernel) -> None:
    stats = RunStats({"on_read": 3})
    run_for(stats, fake, 5 * MS)
    assert stats.result()["windows"] == 1


def test_counts_are_differences_over_the_windows(fake: FakeKernel) -> None:
    stats = RunStats({"on_read": 3})
    run_for(stats, fake, 1_050 * MS)
    program = stats.result()["programs"]["on_read"]
    assert program == {
        "sampled_runs": 60,
        "ns_per_run": 5000.0,
        "cpu_share": pytest.approx(0.005),
        "recursion_misses": 3,
    }


def test_refusing_kernel_is_reported_and_not_asked_again(fake: FakeKernel) -> None:
    fake.refuses = True
    stats = RunStats({"on_read": 3})
    run_for(stats, fake, 400 * MS)
    assert stats.next_tick_ns > fake.now_ns + 10**15
    result = stats.result()
    assert result["refused"] == "Operation not permitted"
    assert result["windows"] == 0
    assert result["programs"]["on_read"]["ns_per_run"] is None
