"""The probes of bpf/syscall that follow processes, threads, signals and waits."""

from __future__ import annotations

import os

import pytest
from probes.checking import one, traced

from workloads.probes import started

pytestmark = pytest.mark.kernel


def test_sysslow_shows_calls_above_the_limit_with_their_arguments() -> None:
    with started("slow_calls") as load:
        calls, facts = traced("sysslow", load, pid=load.pid, min_us=15_000, stacks="user")

    sleeps = calls[calls["syscall"] == "clock_nanosleep"]
    assert len(sleeps) == 23
    assert (sleeps["duration_us"] >= 20_000).all()
    assert (sleeps["result"] == 0).all()
    polls = calls[calls["syscall"] == "poll"]
    assert polls["arg2"].tolist() == [hex(21)] * 3
    assert set(polls["arg0"]) == {hex(0)}
    assert set(polls["arg1"]) == {hex(facts["polled"])}
    failed = one(calls, error="ETIMEDOUT")
    assert failed["syscall"] == "futex"
    assert failed["arg3"] == hex(facts["limit"])
    assert failed["user_stack"]
    assert "getppid" not in set(calls["syscall"])


def test_sysslow_follows_one_call_on_request() -> None:
    with started("slow_calls") as load:
        calls, _ = traced("sysslow", load, comm="ks-slow", min_us=0, syscall="poll")

    calls = calls[calls["pid"] == load.pid]
    assert calls["syscall"].tolist() == ["poll"] * 3
    assert "user_stack" not in calls


def test_exitsnoop_shows_how_each_process_ended() -> None:
    with started("processes_ended") as load:
        ends, facts = traced("exitsnoop", load)

    ends = ends[ends["ppid"] == load.pid].set_index("pid")
    assert len(facts["ended"]) == 29
    for pid, status in facts["ended"].items():
        row = ends.loc[int(pid)]
        signaled = os.WIFSIGNALED(status)
        assert row["exit_code"] == (0 if signaled else os.WEXITSTATUS(status))
        assert row["signal"] == {0: "", 9: "SIGKILL", 15: "SIGTERM"}[status & 0x7F]
        assert not row["core"]
    slept = ends.loc[facts["slept"]]
    assert slept["exit_code"] == 211
    assert slept["age_ms"] >= 100
    assert len(ends) == 29 + 1


def test_exitsnoop_shows_failures_or_threads_on_request() -> None:
    with started("processes_ended") as load:
        ends, facts = traced("exitsnoop", load, failed=True)
    failed = sum(1 for status in facts["ended"].values() if status)
    assert (ends["ppid"] == load.pid).sum() == failed + 1

    with started("tasks_made") as load:
        ends, facts = traced("exitsnoop", load, threads=True, pid=load.pid)
    assert ends["tid"].tolist() == facts["threads"]


def test_forksnoop_shows_every_process_as_its_parent_saw_it() -> None:
    with started("tasks_made") as load:
        forks, facts = traced("forksnoop", load)

    forks = forks[forks["pid"] == load.pid]
    assert set(forks["comm"]) == {"ks-forks"}
    forked = forks[forks["kind"] == "fork"]
    assert forked["child_pid"].tolist() == [*facts["forked"], facts["apart"]]
    assert forked["namespaces"].tolist() == [False] * 19 + [True]
    assert int(forked["flags"].iloc[-1], 16) == 0x04000000  # CLONE_NEWUTS
    assert forks[forks["kind"] == "vfork"]["child_pid"].tolist() == facts["spawned"]
    assert len(forks) == 19 + 1 + 3


def test_forksnoop_shows_threads_on_request() -> None:
    with started("tasks_made") as load:
        forks, facts = traced("forksnoop", load, threads=True, pid=load.pid)

    threads = forks[forks["kind"] == "thread"]
    assert threads["child_tid"].tolist() == facts["threads"]
    assert set(threads["child_pid"]) == {load.pid}


def test_killsnoop_shows_signals_with_sender_and_target() -> None:
    with started("signals_sent") as load:
        signals, facts = traced("killsnoop", load, pid=load.pid)

    sent = signals[(signals["pid"] == load.pid) & (signals["target_pid"] == facts["child"])]
    usual = sent[sent["signal"] == "SIGUSR1"]
    assert len(usual) == facts["received"] == 37
    assert set(usual["origin"]) == {"process"}
    assert set(usual["result"]) == {"sent"}
    assert (usual["uid"] == os.getuid()).all()
    assert usual["whole"].all()
    assert one(sent, signal="SIGKILL")["code"] == 0
    to_thread = signals[signals["signal"] == "SIGUSR2"]
    assert to_thread["target_tid"].tolist() == [load.pid] * 5
    assert set(to_thread["code"]) == {-6}
    assert not to_thread["whole"].any()
    assert one(signals, signal="SIGALRM")["origin"] == "kernel"
    assert one(signals, signal="SIGPIPE")["result"] == "ignored"
    ended = one(signals, signal="SIGCHLD", pid=facts["child"])
    assert (ended["origin"], ended["target_pid"]) == ("kernel", load.pid)


def test_killsnoop_follows_one_signal_or_the_kernels_on_request() -> None:
    with started("signals_sent") as load:
        signals, facts = traced("killsnoop", load, signal="USR1")
    signals = signals[signals["target_pid"] == facts["child"]]
    assert signals["signal"].tolist() == ["SIGUSR1"] * 37

    with started("signals_sent") as load:
        signals, _ = traced("killsnoop", load, origin="kernel", pid=load.pid)
    assert sorted(signals["signal"]) == ["SIGALRM", "SIGCHLD"]


def test_threadsnoop_shows_what_each_thread_runs() -> None:
    with started("threads_started") as load:
        starts, facts = traced("threadsnoop", load, comm="ks-threads")

    assert starts["pid"].tolist() == [load.pid] * 41
    assert set(starts["routine"]) == {hex(facts["routine"])}
    assert all(stack.endswith("pthread_create") for stack in starts["user_stack"])


def test_threadsnoop_leaves_out_stacks_on_request() -> None:
    with started("threads_started") as load:
        starts, _ = traced("threadsnoop", load, pid=load.pid, stacks="none")

    assert len(starts) == 41
    assert "user_stack" not in starts


def test_futexwait_adds_up_waits_by_code_and_by_lock() -> None:
    with started("locks_waited_for") as load:
        waits, facts = traced("futexwait", load)
    waits = waits[waits["pid"] == load.pid]
    assert waits["count"].sum() == 43 + 5
    assert one(waits, comm="ks-lock-a")["count"] == 43
    assert waits["user_stack"].str.contains("syscall").all()

    with started("locks_waited_for") as load:
        waits, facts = traced("futexwait", load, by="lock", pid=load.pid)
    rows = [one(waits, lock=hex(lock)) for lock in facts["locks"]]
    assert [row["count"] for row in rows] == [43, 5]
    for row in rows:
        assert row["total_us"] >= row["count"] * 2000
        assert 2000 <= row["max_us"] <= row["total_us"]


def test_futexwait_leaves_out_short_waits_on_request() -> None:
    with started("locks_waited_for") as load:
        waits, _ = traced("futexwait", load, by="process", pid=load.pid, min_us=60_000_000)

    assert len(waits) == 0
