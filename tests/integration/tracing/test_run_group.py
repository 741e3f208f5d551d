"""Several probes in one run, on a real kernel: begun together, ended together, or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

import kernelscope
from kernelscope.errors import KernelScopeError
from kernelscope.probe import catalogue
from kernelscope.probe.model import HookSpec
from kernelscope.tables.results import Tables
from kernelscope.tracing.agent_client import Agent
from kernelscope.tracing.session import Session
from workloads.probes import started

pytestmark = pytest.mark.kernel


def children(agent: Agent) -> list[str]:
    return Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()


def test_probes_that_run_together_see_the_same_load() -> None:
    with started("system_calls") as load:
        with kernelscope.start(["syscount", "opensnoop"], duration=60, pid=load.pid) as runs:
            load.go()
        results = runs.result()

    assert isinstance(results["syscount"], Tables)
    calls = results["syscount.calls"]
    assert calls.loc[calls["syscall"] == "getppid", "count"].sum() == 211
    assert len(results["opensnoop"]) == calls.loc[calls["syscall"] == "openat", "count"].sum()


def test_all_end_one_duration_after_the_last_began() -> None:
    results = kernelscope.run(["runqlat", "syscount", "opensnoop"], duration=0.3)

    receipts = [table.attrs["kernelscope"] for table in results.flat().values()]
    skew_s = results.receipt["skew_ms"] / 1000
    assert skew_s > 0
    for each in receipts:
        began_s = each["beside"]["began_after_ms"] / 1000
        assert began_s + each["duration_s"] >= skew_s + 0.3
    assert {each["beside"]["skew_ms"] for each in receipts} == {results.receipt["skew_ms"]}


def test_where_one_is_refused_none_stays_attached() -> None:
    probe = catalogue.find("opensnoop")
    missing = replace(probe, hooks=(HookSpec("on_enter", ("tracepoint:no:such",)),))
    with Session() as session:
        with pytest.raises(KernelScopeError, match=r"^opensnoop: "):
            session.start(["runqlat", missing], duration=60)
        deadline = time.monotonic() + 5
        while children(session.agent) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert children(session.agent) == []


def test_ctrl_c_ends_all_and_returns_the_rows() -> None:
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    with started("system_calls") as load:
        runs = kernelscope.start(["syscount", "runqlat"], duration=60)
        load.go()
        timer.start()
        results = runs.result()

    assert results.receipt["interrupted"] is True
    assert results.receipt["duration_s"] < 30
    calls = results["syscount.calls"]
    assert calls.loc[calls["pid"] == load.pid, "count"].sum() >= 211


def test_the_command_line_runs_several_and_shows_each() -> None:
    command = [sys.executable, "-m", "kernelscope", "run", "runqlat", "syscount", "-d", "0.3"]
    shown = subprocess.run(
        [*command, "--syscount.by", "syscall"], capture_output=True, text=True, check=True
    ).stdout

    headings = [line for line in shown.splitlines() if line.startswith("# ")]
    assert headings == ["# runqlat", "# syscount.calls", "# syscount.latency"]


def test_recordings_of_several_are_files_of_their_own(tmp_path: Path) -> None:
    kernelscope.run(["runqlat", "opensnoop"], duration=0.3, record=str(tmp_path / "x.ksr"))

    for name in ("runqlat", "opensnoop"):
        replayed = kernelscope.open(tmp_path / f"x.{name}.ksr")
        assert replayed.attrs["kernelscope"]["probe"] == name
