"""Which cgroup a process is in, asked of /proc: the truth where it lives, <NA> where not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from kernelscope.analysis import containers
from kernelscope.errors import AnalysisError

ID = "4fa6e0f0c6786287e131c3852c58a2e01cc697a68231826813597e4994f1d6e2"


@pytest.mark.parametrize(
    ("path", "container"),
    [
        (f"/system.slice/docker-{ID}.scope", ID[:12]),
        (f"/docker/{ID}", ID[:12]),
        (f"/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope", ID[:12]),
        (f"/kubepods/burstable/pod1/{ID}", ID[:12]),
        (f"/machine.slice/libpod-{ID}.scope/container", ID[:12]),
        ("/lxc.payload.web/init.scope", "web"),
        ("/machine.slice/systemd-nspawn@web.service/payload", "web"),
        ("/user.slice/user-1000.slice", None),
        ("/", None),
    ],
)
def test_containers_are_found_in_the_paths_of_each_engine(path: str, container: str | None) -> None:
    assert containers._container(path) == container


def test_a_running_process_has_a_cgroup_and_an_ended_one_none() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    found = containers.with_cgroups(pd.DataFrame({"pid": [os.getpid(), gone.pid]}))

    lines = Path("/proc/self/cgroup").read_text().splitlines()
    mine = next((x for x in lines if x.startswith("0::")), lines[0]).split(":", 2)[2]
    assert found["cgroup"].iloc[0] == mine
    assert pd.isna(found["cgroup"].iloc[1])


def test_a_process_started_after_the_capture_is_another_one() -> None:
    frame = pd.DataFrame({"pid": [os.getpid(), 1]})
    frame.attrs["kernelscope"] = {"started": "2001-01-01T00:00:00+00:00", "duration_s": 1.0}

    assert containers.with_cgroups(frame)["cgroup"].isna().all()


def test_captures_of_another_machine_are_an_error() -> None:
    frame = pd.DataFrame({"pid": [1]})
    frame.attrs["kernelscope"] = {"host": "elsewhere", "recorded": True}

    with pytest.raises(AnalysisError, match="from elsewhere"):
        containers.with_cgroups(frame)
