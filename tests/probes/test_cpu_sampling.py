"""The probes of bpf/cpu that sample each CPU at a fixed rate."""

from __future__ import annotations

from pathlib import Path

import pytest
from probes.checking import SAMPLING, in_one_of_four, traced

from workloads.probes import started

pytestmark = pytest.mark.kernel

FREQUENCIES = sorted(Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq"))


def test_runqlen_sees_three_threads_on_the_cpu_that_they_share() -> None:
    with started("three_on_one_cpu") as load:
        samples, facts = traced("runqlen", load, by="cpu", hz=499)

    own = samples[samples["cpu"] == facts["cpu"]]
    full = own.loc[own["runnable"] >= 3, "count"].sum()
    # each of the three computes for 101 ms, so all are runnable for nearly three times as long
    assert full >= 3 * 0.101 * 499 * (1 - SAMPLING) * 0.75
    assert not samples.duplicated(["cpu", "runnable"]).any()
    waited_s = sum(each["waited_ns"] for each in facts["children"].values()) / 1e9
    queued = ((own["runnable"] - 1).clip(lower=0) * own["count"]).sum() / 499
    assert queued >= waited_s * (1 - SAMPLING)


def test_runqlen_adds_up_all_cpus() -> None:
    with started("three_on_one_cpu") as load:
        samples, _ = traced("runqlen", load)

    assert samples.columns.tolist() == ["runnable", "count"]
    assert samples["runnable"].max() < 1000
    assert samples.loc[samples["runnable"] >= 3, "count"].sum() >= 10


@in_one_of_four
def test_cpuwalk_finds_each_cpu_that_a_process_ran_on() -> None:
    with started("walks_two_cpus") as load:
        samples, facts = traced("cpuwalk", load, pid=load.pid, hz=499)

    assert samples["pid"].unique().tolist() == [load.pid]
    found = samples.groupby("cpu")["count"].sum().to_dict()
    expected = {int(cpu): 499 * spent for cpu, spent in facts["cpu_s"].items()}
    assert {cpu: found.get(cpu) for cpu in expected} == pytest.approx(expected, rel=SAMPLING)
    assert sum(found.values()) <= sum(expected[cpu] for cpu in expected) * (1 + SAMPLING)


def test_cpuwalk_counts_idle_cpus_on_request() -> None:
    with started("thread_blocked") as load:
        busy, _ = traced("cpuwalk", load, by="comm")
    with started("thread_blocked") as load:
        every, _ = traced("cpuwalk", load, idle=True)

    assert busy.columns.tolist() == ["comm", "cpu", "count"]
    assert not busy["comm"].str.startswith("swapper").any()
    idle = every[every["pid"] == 0]
    assert idle["comm"].str.startswith("swapper").all()


@in_one_of_four
def test_cpufreq_samples_programs_at_the_frequency_that_is_known() -> None:
    with started("walks_two_cpus") as load:
        tables, facts = traced("cpufreq", load, pid=load.pid, by="comm")

    samples = tables["samples"]
    cpu_s = sum(facts["cpu_s"].values())
    assert samples["count"].sum() == pytest.approx(99 * cpu_s, rel=SAMPLING)
    assert set(samples["comm"]) == {"python"}
    seen = {*samples["mhz"], *tables["changes"]["mhz"]} - {0.0}  # 0 is unknown
    if FREQUENCIES:
        least = min(int((each / "cpuinfo_min_freq").read_text()) for each in FREQUENCIES) / 1000
        most = max(int((each / "cpuinfo_max_freq").read_text()) for each in FREQUENCIES) / 1000
        assert all(least <= mhz <= most for mhz in seen)
    else:
        assert not seen
        assert tables["changes"].empty
