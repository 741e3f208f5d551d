"""The probes of bpf/cpu that follow the scheduler."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from probes.checking import SAMPLING, in_one_of_four, traced

from workloads.probes import started

pytestmark = pytest.mark.kernel


def slices(pid: int) -> int:
    """Return how often a thread got a CPU: Documentation/scheduler/sched-stats.rst."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[2])


def moved(pid: int) -> int:
    """Return how often a thread was moved to another CPU."""
    path = Path(f"/proc/{pid}/sched")
    found = re.search(r"nr_migrations\s*:\s*(\d+)", path.read_text() if path.exists() else "")
    if found is None:
        pytest.skip(f"this kernel has no {path.name} that counts moves (CONFIG_SCHED_DEBUG)")
    return int(found[1])


@in_one_of_four
def test_runqslower_shows_every_wait_and_who_ran_before() -> None:
    with started("three_on_one_cpu") as load:
        waits, facts = traced("runqslower", load, comm="ks-three", min_us=0)

    assert set(waits["comm"]) == {"ks-three"}
    assert (waits["cpu"] == facts["cpu"]).mean() > 0.9
    assert waits["time"].is_monotonic_increasing
    for pid, found in facts["children"].items():
        own = waits[waits["pid"] == int(pid)]
        assert own["waited_us"].sum() == pytest.approx(found["waited_ns"] / 1000, rel=SAMPLING)
        others = set(own["before_pid"]) & {int(each) for each in facts["children"]}
        assert len(others - {int(pid)}) == 2


@in_one_of_four
def test_runqslower_leaves_out_short_waits() -> None:
    with started("three_on_one_cpu") as load:
        waits, facts = traced("runqslower", load, comm="ks-three")

    assert waits["waited_us"].min() >= 1000
    assert set(waits["pid"]) == {int(pid) for pid in facts["children"]}
    for pid, found in facts["children"].items():
        own = waits.loc[waits["pid"] == int(pid), "waited_us"]
        assert 0 < own.sum() <= (1 + SAMPLING) * found["waited_ns"] / 1000


@in_one_of_four
def test_cpudist_counts_every_period_of_a_process() -> None:
    with started("tasks_woken") as load:
        before = slices(load.pid)
        stretches, _ = traced("cpudist", load, by="pid", pid=load.pid)
        after = slices(load.pid)

    assert stretches["pid"].unique().tolist() == [load.pid]
    assert set(stretches["comm"]) <= {"python", "ks-waits"}
    assert stretches["count"].sum() == after - before


@in_one_of_four
def test_cpudist_measures_the_cpu_time_of_a_process() -> None:
    with started("three_on_one_cpu") as load:
        stretches, facts = traced("cpudist", load, by="pid", comm="ks-three")

    assert set(stretches["pid"]) == {int(pid) for pid in facts["children"]}
    for pid, found in facts["children"].items():
        own = stretches[stretches["pid"] == int(pid)]
        least = (own["stretch_low_us"] * own["count"]).sum()
        most = (own["stretch_high_us"] * own["count"]).sum()
        assert least * (1 - SAMPLING) <= found["cpu_s"] * 1e6 <= most * (1 + SAMPLING)


@in_one_of_four
def test_cpudist_counts_the_time_off_the_cpu_too() -> None:
    with started("tasks_woken") as load:
        before = slices(load.pid)
        stretches, _ = traced("cpudist", load, by="comm", off=True, pid=load.pid)
        after = slices(load.pid)

    assert stretches["count"].sum() == after - before - 1  # it slept when the probe started
    assert stretches["comm"].unique().tolist() == ["ks-waits"]
    asleep = stretches[stretches["stretch_high_us"] > 100]
    assert 450 < asleep["count"].sum() <= 510  # a wake-up before the sleep is not a period


def test_cpudist_has_one_histogram_of_all_tasks() -> None:
    with started("tasks_woken") as load:
        stretches, _ = traced("cpudist", load)

    assert stretches.columns.tolist() == ["stretch_low_us", "stretch_high_us", "count"]
    assert stretches["count"].sum() > 450


@in_one_of_four
def test_migrations_counts_every_move_of_a_process() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("with one CPU there is nowhere to move to")
    with started("moved_between_cpus") as load:
        before = moved(load.pid)
        moves, facts = traced("migrations", load, pid=load.pid)
        after = moved(load.pid)

    assert moves["count"].sum() == after - before
    between = moves.set_index(["from_cpu", "to_cpu"])["count"]
    first, last = facts["first"], facts["last"]
    assert between[first, last] >= 51
    assert between[last, first] >= 50
    assert 101 <= between[first, last] + between[last, first] <= after - before


def test_migrations_adds_up_all_processes() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("with one CPU there is nowhere to move to")
    with started("moved_between_cpus") as load:
        moves, _ = traced("migrations", load, by="all")

    assert moves.columns.tolist() == ["from_cpu", "to_cpu", "count"]
    assert moves["count"].sum() >= 101
    assert (moves["from_cpu"] != moves["to_cpu"]).all()
