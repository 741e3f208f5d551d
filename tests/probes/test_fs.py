"""The probes of bpf/fs, each under a known load and compared with another source."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from probes.checking import one, traced

import kernelscope
from workloads.probes import started

pytestmark = pytest.mark.kernel


def test_opensnoop_shows_every_open_with_its_descriptor() -> None:
    with started("files_opened") as load:
        opens, facts = traced("opensnoop", load)

    opens = opens[opens["pid"] == load.pid]
    found = opens[opens["path"] == facts["path"]]
    assert found["fd"].tolist()[1:] == facts["fds"]  # the first one created the file
    assert set(found["access"][1:]) == {"read and write"}
    assert (found["duration_us"] > 0).all()
    missing = opens[opens["path"] == facts["path"] + ".missing"]
    assert missing["error"].tolist() == ["ENOENT"] * 23
    assert set(missing["access"]) == {"write"}
    assert {int(flags, 16) & os.O_APPEND for flags in missing["flags"]} == {os.O_APPEND}
    for path in facts["others"]:
        row = one(opens, path=path)
        assert row["fd"] >= 0
        assert row["access"] == "write"
        assert int(row["flags"], 16) & os.O_CREAT


def test_opensnoop_leaves_the_descriptor_of_a_failed_open_out() -> None:
    with started("files_opened") as load:
        opens, _ = traced("opensnoop", load, pid=load.pid, failed=True)

    assert len(opens) == 23
    assert opens["fd"].isna().all()


def test_opensnoop_shows_whole_paths_on_request(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "app.ini").touch()
    folder = os.open(tmp_path / "conf", os.O_RDONLY)
    with kernelscope.start("opensnoop", duration=60, full=True, pid=os.getpid()) as run:
        before = Path.cwd()
        os.chdir(tmp_path)
        try:
            for path in ("conf/app.ini", "./missing", "/dev/null"):
                with contextlib.suppress(FileNotFoundError):
                    os.close(os.open(path, os.O_RDONLY))
            os.close(os.open("app.ini", os.O_RDONLY, dir_fd=folder))
            os.chdir("/")
            with contextlib.suppress(FileNotFoundError):
                os.open("kernelscope-is-not-here", os.O_RDONLY)
        finally:
            os.chdir(before)
            os.close(folder)
        time.sleep(0.1)
        run.stop()
        opens = run.result()

    wanted = [
        f"{tmp_path}/conf/app.ini", f"{tmp_path}/./missing", "/dev/null",
        f"{tmp_path}/conf/app.ini", "/kernelscope-is-not-here",
    ]  # fmt: skip
    assert [path for path in opens["path"] if path in wanted] == wanted


def test_opensnoop_shows_whole_paths_below_a_mount_and_of_a_chroot(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 60) / ("b" * 60)
    deep.mkdir(parents=True)
    script = (
        "import os, sys; os.chroot(sys.argv[1]); os.chdir('/' + sys.argv[2])\n"
        "os.open('no', os.O_RDONLY)"
    )
    command = [sys.executable, "-I", "-S", "-c", script, str(tmp_path), f"{'a' * 60}/{'b' * 60}"]
    with kernelscope.start("opensnoop", duration=60, full=True) as run:
        child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        child.wait()
        time.sleep(0.1)
        run.stop()
        opens = run.result()

    opens = opens[opens["pid"] == child.pid]
    assert f"/{'a' * 60}/{'b' * 60}/no" in opens["path"].tolist()


def test_opensnoop_shows_only_failures_of_one_process_on_request() -> None:
    with started("files_opened") as load:
        opens, _ = traced("opensnoop", load, pid=load.pid, failed=True)

    assert opens["error"].tolist() == ["ENOENT"] * 23
