"""The probes of bpf/cpu that show where threads slept, and who woke them."""

from __future__ import annotations

from pathlib import Path

import pytest
from probes.checking import in_one_of_four, traced

from workloads.probes import started

pytestmark = pytest.mark.kernel


def switches(pid: int) -> dict[str, int]:
    """Return how often a thread gave up its CPU, and how often it was preempted: proc(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = dict(line.split(":\t") for line in lines if "ctxt_switches" in line)
    return {
        "blocked": int(found["voluntary_ctxt_switches"]),
        "preempted": int(found["nonvoluntary_ctxt_switches"]),
    }


@pytest.mark.parametrize("state", ["blocked", "interruptible", "all"])
@in_one_of_four
def test_offcputime_counts_every_period_off_the_cpu(state: str) -> None:
    with started("thread_blocked") as load:
        before = switches(load.pid)
        places, facts = traced("offcputime", load, pid=load.pid, state=state)
        after = switches(load.pid)

    assert places["pid"].unique().tolist() == [load.pid]
    expected = (
        after["blocked"] - before["blocked"] - 1
    )  # it still sleeps, waiting for its next command
    if state == "all":
        expected += after["preempted"] - before["preempted"]
    assert (
        places["count"].sum() == expected > 90
    )  # a timer that fires before the sleep ends no sleep
    asleep = places[places["kernel_stack"].str.contains("hrtimer_nanosleep")]
    assert 90 < asleep["count"].sum() <= 101
    assert 500 * asleep["count"].sum() <= asleep["total_us"].sum() <= facts["wall_s"] * 1e6
    assert asleep["max_us"].max() >= 1000
    assert asleep["kernel_stack"].str.endswith("__schedule").all()


@in_one_of_four
def test_offcputime_recognizes_preempted_threads() -> None:
    with started("three_on_one_cpu") as load:
        places, facts = traced("offcputime", load, comm="ks-three", state="preempted")

    found = places.groupby("pid")["count"].sum().to_dict()
    children = facts["children"]
    assert set(found) == {int(pid) for pid in children}
    for pid, count in found.items():
        assert 0 < count <= children[str(pid)]["preempted"] + 5  # it continues for a moment


def test_offcputime_keeps_only_periods_of_the_requested_length() -> None:
    with started("thread_blocked") as load:
        longer, _ = traced("offcputime", load, pid=load.pid, min_us=900, stacks="kernel")
    with started("thread_blocked") as load:
        shorter, _ = traced("offcputime", load, pid=load.pid, max_us=900)
    with started("thread_blocked") as load:
        disk, _ = traced("offcputime", load, pid=load.pid, state="uninterruptible")

    assert longer["count"].sum() > 50  # a slow machine's timer runs long before the thread leaves
    assert "user_stack" not in longer
    assert (longer["total_us"] >= 900 * longer["count"]).all()
    assert (shorter["max_us"] <= 900).all()
    assert shorter["count"].sum() < longer["count"].sum()
    assert not disk["kernel_stack"].str.contains("hrtimer_nanosleep").any()


@in_one_of_four
def test_wakeuptime_shows_the_waker_and_the_length_of_the_sleep() -> None:
    with started("woken_by_another") as load:
        wakers, facts = traced("wakeuptime", load, comm="ks-woken")

    assert set(wakers["woken_comm"]) == {"ks-woken"}
    assert wakers["woken_pid"].unique().tolist() == [facts["child"]]
    assert wakers["count"].sum() == facts["sleeps"]
    written = wakers[wakers["kernel_stack"].str.contains("vfs_write")]
    assert written["pid"].unique().tolist() == [load.pid]
    assert 90 < written["count"].sum() <= 101  # if the child was late it did not sleep
    assert 50_000 < written["total_us"].sum() <= facts["waited_s"] * 1e6
    assert (written["total_us"] >= written["max_us"]).all()


def test_wakeuptime_leaves_out_short_sleeps_and_other_threads() -> None:
    with started("woken_by_another") as load:
        wakers, facts = traced("wakeuptime", load, pid=load.pid, min_us=900, stacks="user")

    assert "kernel_stack" not in wakers
    assert wakers["woken_pid"].unique().tolist() == [load.pid]
    assert facts["child"] not in wakers["woken_pid"].tolist()
    assert wakers["count"].sum() > 50  # the parent's own sleeps, which timers end
    assert (wakers["total_us"] >= 900 * wakers["count"]).all()


@in_one_of_four
def test_offwaketime_combines_the_stacks_of_sleeper_and_waker() -> None:
    with started("woken_by_another") as load:
        sleeps, facts = traced("offwaketime", load, comm="ks-woken")

    assert sleeps["pid"].unique().tolist() == [facts["child"]]
    assert sleeps["count"].sum() == facts["sleeps"]
    piped = sleeps[sleeps["waker_kernel_stack"].str.contains("vfs_write")]
    assert piped["waker_pid"].unique().tolist() == [load.pid]
    assert piped["kernel_stack"].str.contains("pipe_read").all()
    assert 90 < piped["count"].sum() <= 101  # if the child was late it did not sleep
    assert 50_000 < piped["total_us"].sum() <= facts["waited_s"] * 1e6


def test_offwaketime_leaves_out_short_sleeps() -> None:
    with started("thread_blocked") as load:
        sleeps, _ = traced("offwaketime", load, pid=load.pid, min_us=900, stacks="kernel")

    assert "user_stack" not in sleeps
    assert sleeps["count"].sum() > 50
    assert (sleeps["total_us"] >= 900 * sleeps["count"]).all()
