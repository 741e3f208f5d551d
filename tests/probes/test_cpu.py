"""The probes of bpf/cpu, each under a known load and compared with another source."""

from __future__ import annotations

from pathlib import Path

import pytest
from probes.checking import SAMPLING, in_one_of_four, traced

from workloads.probes import started

pytestmark = pytest.mark.kernel


def schedstat(pid: int) -> tuple[int, int]:
    """Return ns waited for a CPU and time slices run: Documentation/scheduler/sched-stats.rst."""
    _, waited, slices = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(waited), int(slices)


@in_one_of_four
def test_runqlat_counts_every_wait_of_a_process() -> None:
    with started("tasks_woken") as load:
        before = schedstat(load.pid)
        waits, _ = traced("runqlat", load, by="pid", pid=load.pid)
        after = schedstat(load.pid)

    assert waits["pid"].unique().tolist() == [load.pid]
    assert set(waits["comm"]) <= {"python", "ks-waits"}
    assert waits["count"].sum() == after[1] - before[1]
    assert waits["count"].sum() > 450  # a wake-up before the sleep is not a wait
    total_us = (after[0] - before[0]) / 1000
    assert (waits["latency_high_us"] * waits["count"]).sum() >= total_us


def test_runqlat_filters_by_the_waiting_tasks_name() -> None:
    with started("tasks_woken") as load:
        waits, _ = traced("runqlat", load, by="comm", comm="ks-waits")

    assert waits["comm"].unique().tolist() == ["ks-waits"]
    assert waits["count"].sum() > 450  # a wake-up before the sleep is not a wait


def test_runqlat_has_one_histogram_of_all_tasks() -> None:
    with started("tasks_woken") as load:
        waits, _ = traced("runqlat", load)

    assert waits.columns.tolist() == ["latency_low_us", "latency_high_us", "count"]
    assert waits["count"].sum() > 450  # a wake-up before the sleep is not a wait


def test_profile_samples_in_proportion_to_cpu_time() -> None:
    with started("busy_process") as load:
        samples, facts = traced("profile", load, pid=load.pid)

    assert samples["pid"].unique().tolist() == [load.pid]
    assert samples["count"].sum() == pytest.approx(99 * facts["cpu_s"], rel=SAMPLING)
    assert samples["user_stack"].str.len().max() > 0
    assert not samples.duplicated(["pid", "comm", "user_stack", "kernel_stack"]).any()


@pytest.mark.parametrize(("stacks", "left"), [("user", "user_stack"), ("kernel", "kernel_stack")])
def test_profile_takes_only_the_requested_stacks(stacks: str, left: str) -> None:
    with started("busy_process") as load:
        samples, facts = traced("profile", load, pid=load.pid, stacks=stacks, hz=499)

    assert [name for name in samples.columns if name.endswith("stack")] == [left]
    assert samples["count"].sum() == pytest.approx(499 * facts["cpu_s"], rel=SAMPLING)
