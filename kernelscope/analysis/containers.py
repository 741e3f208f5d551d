"""The cgroup and container of a process, read from /proc while it runs."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from kernelscope.analysis.measure import column_names
from kernelscope.errors import AnalysisError
from kernelscope.tables.attrs import receipt_of

# docker-ID.scope, cri-containerd-ID.scope, crio-ID.scope, libpod-ID.scope, /docker/ID, pods' /ID
_CONTAINER = re.compile(r"(?:^|[/-])(?P<id>[0-9a-f]{64})(?:\.scope)?(?:/|$)")
_NAMED = re.compile(
    r"/(?:lxc(?:\.payload)?[./]|machine\.slice/(?:machine-|systemd-nspawn@))([^/]+)"
)
_SHORT = 12  # characters of a container's id, as `docker ps` shows it


def with_cgroups(df: pd.DataFrame, pid: str = "pid", proc: Path = Path("/proc")) -> pd.DataFrame:
    """Return the table with the columns "cgroup" and "container" added, by its column of pids.

    cgroup: the path as /proc/PID/cgroup has it (of version 2, else of the first hierarchy).
    container: the first 12 characters of a container's id, or an LXC or systemd container's name.

    /proc is read now, not when the events happened: both are <NA> for a process that has ended and
    for one that started after the capture with the same pid; "container" is <NA> for a process in
    none. A process that moved since is shown where it is now. To trace one cgroup without these
    limits, give the run `--cgroup`.

    Raises AnalysisError where the column does not exist, or the capture is from another machine.
    """
    column_names(df, pid)
    receipt = receipt_of(df)
    host = receipt.get("host") or platform.node()
    if receipt.get("recorded") and host != platform.node():
        raise AnalysisError(
            f"the capture is from {host}: its processes are not on this machine",
            hint="add the cgroups on that machine, while the processes run",
        )
    ended = _end_of(receipt)
    found = {int(each): _cgroup(proc / str(int(each)), ended) for each in df[pid].dropna().unique()}
    paths = df[pid].map(found, na_action="ignore")
    result = df.assign(
        cgroup=paths.astype("string"),
        container=paths.map(_container, na_action="ignore").astype("string"),
    )
    result.attrs.update(df.attrs)
    return result


def _end_of(receipt: Mapping[str, Any]) -> float:
    """Return when the capture ended, in seconds since 1970."""
    if not receipt.get("started"):
        return float("inf")
    start = pd.Timestamp(str(receipt["started"])).timestamp()
    return start + float(receipt.get("duration_s") or 0)


def _cgroup(process: Path, ended: float) -> str | None:
    try:
        lines = (process / "cgroup").read_text().splitlines()
        if _start_of(process) > ended + 0.1:  # its start is given in ticks
            return None
    except (OSError, ValueError, IndexError):
        return None
    paths = [line.split(":", 2) for line in lines]
    unified = [path for number, _, path in paths if number == "0"]
    return unified[0] if unified else (paths[0][2] if paths else None)


def _start_of(process: Path) -> float:
    """Return when a process started, in seconds since 1970."""
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[19])
    stat = (process.parent / "stat").read_text()
    booted = int(stat.partition("\nbtime ")[2].split(maxsplit=1)[0])
    return booted + ticks / os.sysconf("SC_CLK_TCK")


def _container(cgroup: str) -> str | None:
    found = _CONTAINER.search(cgroup)
    if found:
        return found["id"][:_SHORT]
    named = _NAMED.search(cgroup)
    return named[1].removesuffix(".service").removesuffix(".scope") if named else None
