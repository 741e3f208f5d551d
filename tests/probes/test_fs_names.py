"""The probes of bpf/fs about names: mounts, files created and deleted."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from probes.checking import one, traced

import kernelscope
from kernelscope.tracing import cgroups
from workloads.probes import started

pytestmark = pytest.mark.kernel

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@needs_root
def test_mountsnoop_shows_every_mount_with_its_result(tmp_path: Path) -> None:
    with started("mounts_made", str(tmp_path)) as load:
        mounts, facts = traced("mountsnoop", load, pid=load.pid)

    assert set(facts["results"]) == {0}
    assert set(facts["failed"]) == {-1}
    assert not mounts["truncated"].any()
    made = mounts[(mounts["fs"] == "tmpfs") & (mounts["call"] == "mount")]
    assert made["target"].tolist() == facts["targets"]
    assert set(made["source"]) == {"ks-tmpfs"}
    assert set(made["error"]) == {""}
    assert (made["duration_us"] > 0).all()
    bind = one(mounts, source=facts["targets"][0])
    assert (bind["target"], bind["flags"]) == (facts["targets"][1], "0x1000")
    assert one(mounts, flags="0x21")["target"] == facts["targets"][2]
    unmounts = mounts[mounts["call"].str.startswith("umount")]
    assert unmounts["target"].tolist() == [facts["targets"][1], *facts["targets"]]
    assert set(unmounts["flags"]) == {"0x2"}


@needs_root
def test_mountsnoop_shows_only_failures_on_request(tmp_path: Path) -> None:
    with started("mounts_made", str(tmp_path)) as load:
        mounts, facts = traced("mountsnoop", load, comm="python", failed=True)

    mounts = mounts[mounts["pid"] == load.pid]
    assert len(mounts) == len(facts["failed"])
    assert set(mounts["source"]) == {"/nonexistent"}
    assert set(mounts["fs"]) == {"ext4"}
    assert set(mounts["error"]) <= {"ENOENT", "ENOTBLK"}


def test_filelife_shows_who_created_and_who_deleted(tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"ks-old-{number}").touch()
    with started("files_made_and_deleted", str(tmp_path)) as load:
        lives, facts = traced("filelife", load)

    lives = lives[lives["file"].str.startswith("ks-")]
    own = lives[lives["pid"] == load.pid]
    assert own["file"].tolist() == [*facts["made"], *["ks-namesake"] * 7]
    assert set(own["made_by_pid"]) == {load.pid}
    assert (own["age_ms"][:53] >= 0.5).all()
    heirs = lives[lives["pid"] == facts["child"]]
    assert heirs["file"].tolist() == [f"ks-heir-{number}" for number in range(11)]
    assert set(heirs["made_by_pid"]) == {load.pid}
    assert (heirs["age_ms"] >= 5).all()
    assert len(lives) == 53 + 7 + 11
    assert not lives["truncated"].any()


def test_filelife_leaves_out_files_that_lived_long_on_request(tmp_path: Path) -> None:
    with started("files_made_and_deleted", str(tmp_path)) as load:
        lives, _ = traced("filelife", load, max_age="4ms", pid=load.pid)

    assert set(lives["made_by_pid"]) | set(lives["pid"]) == {load.pid}
    assert (lives["age_ms"] <= 4).all()
    assert not lives["file"].str.startswith("ks-heir").any()


@needs_root
@pytest.mark.skipif(cgroups.mount() is None, reason="no cgroups of version 2 are mounted")
@pytest.mark.parametrize(("inside", "count"), [(True, 53 + 7 + 11), (False, 0)])
def test_filelife_can_be_restricted_to_a_cgroup(tmp_path: Path, inside: bool, count: int) -> None:
    root = cgroups.mount()
    assert root is not None
    group = root / f"ks-files-{os.getpid()}"
    group.mkdir()
    try:
        with started("files_made_and_deleted", str(tmp_path)) as load:
            if inside:
                (group / "cgroup.procs").write_text(str(load.pid))
            lives, _ = traced("filelife", load, cgroup=str(group))
            (root / "cgroup.procs").write_text(str(load.pid))
    finally:
        group.rmdir()

    assert len(lives) == count


def test_filegone_shows_whole_paths_of_deleted_and_renamed_files(tmp_path: Path) -> None:
    with started("files_lose_their_names", str(tmp_path)) as load:
        gone, _ = traced("filegone", load, pid=load.pid)

    paths = {action: rows["path"].tolist() for action, rows in gone.groupby("action")}
    assert paths == {
        "delete": [f"{tmp_path}/old-{number}" for number in range(53)],
        "delete folder": [f"{tmp_path}/folder-{number}" for number in range(11)],
        "rename": [f"{tmp_path}/name-{number}" for number in range(19)],
    }
    renamed = gone[gone["action"] == "rename"]
    assert renamed["target"].tolist() == [f"{tmp_path}/moved-{number}" for number in range(19)]
    assert set(gone["error"]) == {""}
    assert set(gone["comm"]) == {"python"}


def test_filegone_shows_failed_calls_on_request(tmp_path: Path) -> None:
    with started("files_lose_their_names", str(tmp_path)) as load:
        gone, _ = traced("filegone", load, pid=load.pid, failed=True)

    failed = gone[gone["error"] != ""]
    assert len(gone) == 53 + 11 + 19 + 3
    assert failed["path"].tolist() == [f"{tmp_path}/missing-{number}" for number in range(3)]
    assert set(failed["error"]) == {"ENOENT"}


def test_filegone_shows_a_file_older_than_the_run(tmp_path: Path) -> None:
    victim = tmp_path / "precious.txt"
    victim.touch()
    with kernelscope.start("filegone", duration=60, comm="rm") as run:
        subprocess.run(["/bin/rm", "-r", victim], check=True)
        time.sleep(0.1)
        run.stop()
        gone = run.result()

    assert one(gone, path=str(victim))["action"] == "delete"
