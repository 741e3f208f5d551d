"""The probes of bpf/syscall, each under a known load and compared with another source."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from probes.checking import one, traced

import kernelscope
from workloads.probes import command, started

pytestmark = pytest.mark.kernel


def test_syscount_counts_the_calls_and_errors_of_a_process() -> None:
    with started("system_calls") as load:
        tables, _ = traced("syscount", load)

    calls = tables["calls"][tables["calls"]["pid"] == load.pid]
    assert one(calls, syscall="getppid")["count"] == 211
    assert one(calls, syscall="close")["errors"] == 107
    assert calls["comm"].unique().tolist() == ["python"]


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_syscount_agrees_with_strace(tmp_path: Path) -> None:
    report = tmp_path / "strace"
    strace = ["strace", "-f", "-c", "-U", "name,calls,errors", "-o", str(report)]
    subprocess.run([*strace, *command("system_calls")], input=b"go\n", check=True, stdout=-3)
    counted = {}
    for line in report.read_text().splitlines():
        words = line.split()
        if len(words) > 1 and words[1].isdigit():
            counted[words[0]] = (int(words[1]), int(words[2]) if len(words) > 2 else 0)

    with started("system_calls") as load:
        tables, _ = traced("syscount", load)

    calls = tables["calls"][tables["calls"]["pid"] == load.pid]
    for name in ("getppid", "clock_nanosleep"):
        assert one(calls, syscall=name)["count"] == counted[name][0]
    assert one(calls, syscall="close")["errors"] == counted["close"][1]


def test_syscount_measures_how_long_calls_take() -> None:
    with started("system_calls") as load:
        tables, _ = traced("syscount", load, pid=load.pid)

    sleep = one(tables["calls"], syscall="clock_nanosleep")
    assert sleep["count"] == 7
    assert 68_000 <= sleep["total_us"] < 700_000  # an emulated machine's CPUs differ by a little
    assert sleep["total_us"] / 7 <= sleep["max_us"] <= sleep["total_us"] - 60_000
    slots = tables["latency"][tables["latency"]["syscall"] == "clock_nanosleep"]
    assert slots["count"].sum() == 7
    assert slots["latency_high_us"].min() > 10_000
    assert slots["latency_low_us"].max() <= sleep["max_us"] < slots["latency_high_us"].max()


def test_syscount_loses_nothing_with_concurrent_processes() -> None:
    with started("system_calls_at_once") as load:
        tables, _ = traced("syscount", load, by="syscall", comm="ks-calls")

    assert "pid" not in tables["calls"]
    assert one(tables["calls"], syscall="getppid")["count"] == 4 * 5003
    slots = tables["latency"][tables["latency"]["syscall"] == "getppid"]
    assert slots["count"].sum() == 4 * 5003


def test_syscount_shows_only_failures_on_request() -> None:
    with started("system_calls") as load:
        tables, _ = traced("syscount", load, failed=True, pid=load.pid, by="process")

    row = one(tables["calls"], pid=load.pid)
    assert row["count"] == row["errors"] == 107
    assert tables["latency"]["syscall"].unique().tolist() == ["close"]


def test_execsnoop_shows_every_program_with_its_arguments() -> None:
    with started("programs_started") as load:
        execs, facts = traced("execsnoop", load)

    execs = execs[execs["ppid"] == load.pid]
    begun = execs[execs["error"] == ""].set_index("pid")
    assert len(begun) == len(facts["started"]) == 13
    assert (begun["comm"] == "true").all()
    assert (begun["path"] == "/bin/true").all()
    assert (begun["duration_us"] > 0).all()
    for pid, arguments in facts["started"].items():
        row = begun.loc[int(pid)]
        assert row["args_bytes"] == len(arguments.encode()) + 1
        if row["truncated"]:
            assert arguments.startswith(row["args"][:-1])
        else:
            assert row["args"] == arguments
    assert begun["truncated"].sum() == 1


def test_execsnoop_can_be_restricted_to_a_process_and_what_it_starts() -> None:
    script = "read x; /bin/sh -c '/bin/true one; /bin/true two'"
    with subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE) as shell:
        assert shell.stdin is not None
        with kernelscope.start("execsnoop", duration=60, tree=shell.pid) as run:
            shell.stdin.write(b"\n")
            shell.stdin.close()
            shell.wait()
            subprocess.run(["/bin/true", "outside"], check=True)
            time.sleep(0.1)
            run.stop()
            execs = run.result()

    assert execs["args"].tolist() == [
        "/bin/sh -c /bin/true one; /bin/true two", "/bin/true one", "/bin/true two",
    ]  # fmt: skip


def test_execsnoop_shows_programs_that_do_not_exist() -> None:
    with started("programs_started") as load:
        execs, _ = traced("execsnoop", load, failed=True, comm="python")

    execs = execs[execs["ppid"] == load.pid]
    assert execs["error"].tolist() == ["ENOENT"] * 3
    assert execs["path"].tolist() == [f"/nonexistent/{number}" for number in range(3)]
    assert execs["args"].tolist() == [f"nothing {number}" for number in range(3)]
