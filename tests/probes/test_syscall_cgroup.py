"""--cgroup on a real kernel: the tasks of a cgroup and its descendants, and no others."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from probes.checking import one, traced

import kernelscope
from kernelscope.tracing import cgroups
from workloads.probes import started

pytestmark = pytest.mark.kernel


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Find the cgroups of version 2, or mount them."""
    found = cgroups.mount()
    if found is not None:
        yield found
        return
    tmp_path.chmod(0o755)
    mounted = subprocess.run(["mount", "-t", "cgroup2", "none", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no cgroups of version 2 can be mounted")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.fixture
def group(root: Path) -> Iterator[Path]:
    """Make a cgroup with a child."""
    made = root / f"kernelscope-test-{os.getpid()}"
    (made / "below").mkdir(parents=True)
    yield made
    for folder in (made / "below", made):
        for _ in range(500):
            with contextlib.suppress(OSError):  # busy, until its last process is gone
                folder.rmdir()
                break
            time.sleep(0.01)


def move(pid: int, folder: Path) -> None:
    (folder / "cgroup.procs").write_text(str(pid))


@pytest.mark.parametrize("below", ["", "below"])
def test_a_run_can_be_restricted_to_a_cgroup_and_its_descendants(group: Path, below: str) -> None:
    with started("system_calls") as load, started("system_calls") as other:
        move(load.pid, group / below)
        with kernelscope.start("syscount", duration=60, cgroup=str(group)) as run:
            load.go()
            other.go()
        calls = run.result()["calls"]

    assert calls["pid"].unique().tolist() == [load.pid]
    assert one(calls, syscall="getppid")["count"] == 211


def test_parents_and_siblings_of_the_cgroup_are_left_out(group: Path) -> None:
    with started("system_calls") as load:
        move(load.pid, group)
        tables, _ = traced("syscount", load, cgroup=str(group / "below"))

    assert len(tables["calls"]) == 0


def test_a_probe_about_other_tasks_can_be_restricted_to_a_cgroup(group: Path) -> None:
    with started("tasks_woken") as load, started("tasks_woken") as other:
        move(load.pid, group / "below")
        with kernelscope.start("runqlat", duration=60, by="pid", cgroup=str(group)) as run:
            load.go()
            other.go()
        waits = run.result()

    assert waits["pid"].unique().tolist() == [load.pid]
    assert waits["count"].sum() > 450


def test_the_receipt_names_the_cgroup(group: Path) -> None:
    empty = kernelscope.run("syscount", duration=0.1, cgroup=str(group))
    assert empty.receipt["filters"] == {"cgroup": group.stat().st_ino, "cgroup_level": 1}


def test_execsnoop_can_be_restricted_to_a_cgroup(group: Path) -> None:
    with started("programs_started") as load, started("programs_started") as other:
        move(load.pid, group)
        with kernelscope.start("execsnoop", duration=60, cgroup=str(group)) as run:
            facts = load.go()
            other.go()
            time.sleep(0.1)
            run.stop()
            execs = run.result()

    assert set(execs["ppid"]) | set(execs["pid"]) >= {load.pid}
    assert not {other.pid} & (set(execs["ppid"]) | set(execs["pid"]))
    good = execs[execs["error"] == ""]
    assert {str(pid) for pid in good["pid"]} == set(facts["started"])
