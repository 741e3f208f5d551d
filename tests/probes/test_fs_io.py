"""The probes of bpf/fs about reads, writes and their time."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from probes.checking import one, traced
from probes.disks import io_of

from kernelscope.tracing.session import default_session
from workloads.probes import started

pytestmark = pytest.mark.kernel


def file_system(path: Path) -> str:
    """Return the type of a path's file system, from the last mount."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    holding = [words for words in mounts if path.is_relative_to(words[1])]
    return max(holding, key=lambda words: len(words[1]))[2]


def test_filetop_counts_the_calls_and_bytes_of_a_file(tmp_path: Path) -> None:
    with started("file_traffic", str(tmp_path)) as load:
        files, facts = traced("filetop", load, all=True)

    row = one(files, pid=load.pid, file=facts["file"])
    assert row["inode"] == facts["inode"]
    assert (row["writes"], row["reads"]) == (101 + 7 + 5, 53 + 11 + 3)
    assert (row["written_bytes"], row["read_bytes"]) == (facts["written"], facts["read"])
    assert (row["comm"], row["kind"]) == ("python", "file")
    pipes = files[(files["pid"] == load.pid) & (files["kind"] == "pipe")]
    assert (pipes["read_bytes"] == 23 * 31).sum() == 1


def test_filetop_counts_what_the_kernel_counts_of_a_process(tmp_path: Path) -> None:
    with started("file_traffic", str(tmp_path)) as load:
        before = io_of(load.pid)
        files, _ = traced("filetop", load, pid=load.pid, by="process", all=True)
        after = io_of(load.pid)

    row = one(files, pid=load.pid)
    assert "file" not in files
    assert row["writes"] == after["syscw"] - before["syscw"]
    assert row["written_bytes"] == after["wchar"] - before["wchar"]
    # including the read of the word "go", which started before the probe
    assert row["reads"] == after["syscr"] - before["syscr"]
    assert row["read_bytes"] == after["rchar"] - before["rchar"]


def test_filetop_adds_up_a_file_over_processes(tmp_path: Path) -> None:
    with started("file_traffic", str(tmp_path)) as load:
        files, facts = traced("filetop", load, by="file", comm="python")

    assert one(files, file=facts["file"], inode=facts["inode"])["writes"] == 113
    assert "pid" not in files
    assert set(files["kind"]) == {"file"}


def test_fileslower_shows_opens_that_wait(tmp_path: Path) -> None:
    with started("slow_opens", str(tmp_path)) as load:
        slow, facts = traced("fileslower", load)

    mine = slow[(slow["pid"] == load.pid) & (slow["file"] == facts["file"])]
    waited = mine[mine["tid"] != load.pid]  # the main thread's do not wait, but may be delayed
    assert waited["operation"].tolist() == ["open"] * 7
    assert (waited["duration_us"] >= 10_000).all()
    assert (waited["duration_us"].to_numpy() <= facts["waited_us"]).all()
    assert (slow["duration_us"] >= 10_000).all()
    assert len(mine) - len(waited) < 50


def test_fileslower_shows_every_operation_on_request(tmp_path: Path) -> None:
    with started("slow_opens", str(tmp_path)) as load:
        opens, facts = traced("fileslower", load, min_us=0, pid=load.pid)
    assert (opens["file"] == facts["file"]).sum() == 1 + 7 + 7 + 101

    with started("file_traffic", str(tmp_path)) as load:
        slow, facts = traced("fileslower", load, min_us=0, pid=load.pid)

    slow = slow[slow["file"] == facts["file"]]
    assert slow["operation"].value_counts().to_dict() == {
        **{"write": 113, "read": 67, "open": 14, "fsync": 5}
    }
    by_operation = slow.groupby("operation")["read_write_bytes"].sum()
    assert by_operation["write"] == facts["written"]
    assert by_operation["read"] == facts["read"]
    assert not slow["truncated"].any()


def counts(latency: pd.DataFrame) -> dict[str, int]:
    """Return how many operations of each kind there were."""
    return {str(name): int(n) for name, n in latency.groupby("operation")["count"].sum().items()}


def test_fsdist_counts_operations_on_a_file_system(tmp_path: Path) -> None:
    with started("file_traffic", str(tmp_path)) as load:
        latency, _ = traced("fsdist", load, pid=load.pid)

    here = latency[latency["fs"] == file_system(tmp_path)]
    found = counts(here)
    # a list opens the folder, and reads it to the end
    assert found == {"write": 113, "read": 67, "fsync": 5, "open": 14 + 17, "list": 2 * 17}
    assert (here["latency_low_us"] < here["latency_high_us"]).all()


def require(*specs: str) -> None:
    """Skip if this kernel has none of these hooks."""
    reasons = default_session().check(list(specs))
    if all(reasons.values()):
        pytest.skip(str(reasons[specs[-1]]))


def test_vfsstat_counts_what_the_kernel_counts_of_a_process(tmp_path: Path) -> None:
    require("fentry:vfs_read", "kprobe:vfs_read")
    with started("file_traffic", str(tmp_path)) as load:
        before = io_of(load.pid)
        operations, _ = traced("vfsstat", load, pid=load.pid, every=0)
        after = io_of(load.pid)

    found = dict(zip(operations["operation"], operations["count"], strict=True))
    # without vectored I/O, which takes another path
    assert found["read"] == after["syscr"] - before["syscr"] - 11
    assert found["write"] == after["syscw"] - before["syscw"] - 7
    # and these once more if one file system is on top of another
    assert found["open"] in (14 + 17, 2 * (14 + 17))
    assert found["fsync"] in (3, 5, 6, 10)  # 6.1 has a copy of the function in fdatasync
    assert found["list"] >= 2 * 17


def test_vfsstat_counts_each_process_and_second(tmp_path: Path) -> None:
    require("fentry:vfs_read", "kprobe:vfs_read")
    with started("file_traffic", str(tmp_path)) as load:
        operations, _ = traced("vfsstat", load, by="process")

    assert not operations.duplicated(["time", "pid", "comm", "operation"]).any()
    mine = operations[(operations["pid"] == load.pid) & (operations["operation"] == "write")]
    assert set(mine["comm"]) == {"python"}
    assert mine["count"].sum() >= 101 + 5 + 23
