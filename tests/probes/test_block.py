"""The probes of bpf/block, each under a known load and compared with another source."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from probes.checking import in_one_of_four, one, traced

import kernelscope
from workloads.probes import started

pytestmark = pytest.mark.kernel


def stat(disk: str) -> dict[str, int]:
    """Return the kernel's own counts: Documentation/block/stat.rst."""
    numbers = [int(word) for word in Path(f"/sys/block/{disk}/stat").read_text().split()]
    names = {"read": 0, "write": 4, "in flight": 8, "flush": 15, "sectors": 6}
    return {name: numbers[index] for name, index in names.items()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Make a file of 1 MiB, on a disk with its own queue."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(1 << 20))
    os.sync()
    if not disk_of(path):
        pytest.skip(f"{path} is on no disk")
    return path


def disk_of(path: Path) -> str:
    """Return the whole disk of a file; "" if it is on none."""
    device = path.stat().st_dev
    link = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not link.exists():
        return ""
    folder = link.resolve()
    return (folder.parent if (folder / "partition").exists() else folder).name


@pytest.mark.parametrize("queued", [False, True])
@in_one_of_four
def test_biolatency_counts_what_the_disk_counts(file: Path, queued: bool) -> None:
    disk = disk_of(file)
    with started("direct_reads", str(file)) as load:
        outer = stat(disk)
        with kernelscope.start("biolatency", duration=60, disk=disk, queued=queued) as run:
            before = stat(disk)
            load.go()
            after = stat(disk)
        latency = run.result()
        at_end = stat(disk)

    assert latency["disk"].unique().tolist() == [disk]
    count = latency.loc[latency["operation"] == "read", "count"].sum()
    least = after["read"] - before["read"] - before["in flight"]
    assert run.lost == {}
    assert max(211, least) <= count <= at_end["read"] - outer["read"], latency.to_string()
    assert (latency["latency_low_us"] < latency["latency_high_us"]).all()


@pytest.fixture
def loop(file: Path) -> Iterator[str]:
    """Make an unused disk."""
    made = subprocess.run(["losetup", "-f", "--show", str(file)], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no loop device available: {made.stderr.strip()}")
    try:
        yield made.stdout.strip()
    finally:
        subprocess.run(["losetup", "-d", made.stdout.strip()], check=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("direct_reads", {"read": 211}), ("direct_writes", {"flush": 3, "write": 101})],
)
@in_one_of_four
def test_biolatency_counts_exactly_on_an_unused_disk(
    loop: str, name: str, expected: dict[str, int]
) -> None:
    disk = Path(loop).name
    with started(name, loop) as load:
        before = stat(disk)
        latency, _ = traced("biolatency", load, disk=disk)
        after = stat(disk)

    counts = latency.groupby("operation")["count"].sum().to_dict()
    counts.pop("discard", None)
    assert counts == expected
    # The kernel counts an empty flush as a write too: blk_account_io_done, block/blk-mq.c.
    assert after["write"] - before["write"] == counts.get("write", 0) + counts.get("flush", 0)
    assert after["read"] - before["read"] == counts.get("read", 0)


@in_one_of_four
def test_biosnoop_shows_each_read_with_its_process_and_position(loop: str) -> None:
    disk = Path(loop).name
    with started("direct_reads", loop) as load:
        before = stat(disk)
        ios, facts = traced("biosnoop", load, disk=disk)
        after = stat(disk)

    reads = ios[ios["pid"] == load.pid]
    assert reads["sector"].tolist() == [offset // 512 for offset in facts["offsets"]]
    assert set(reads["size_bytes"]) == {4096}
    assert set(reads["operation"]) == {"read"}
    assert set(reads["disk"]) == {disk}
    assert set(reads["uid"]) == {os.getuid()}
    assert set(ios["status"]) == {""}
    assert len(ios) == after["read"] - before["read"] + after["write"] - before["write"]
    assert reads["queued_us"].min() > 0
    took_ms = (reads["queued_us"] + reads["device_us"]).sum() / 1000
    assert 0 < took_ms <= 1.01 * facts["took_ms"]


def test_biosnoop_applies_its_filters(loop: str) -> None:
    disk = Path(loop).name
    with started("direct_reads", loop) as load:
        others, _ = traced("biosnoop", load, disk=disk, pid=os.getpid())
    with started("direct_reads", loop) as load:
        slow, _ = traced("biosnoop", load, disk=disk, pid=load.pid, min_us=3_600_000_000)

    assert others[others["operation"] == "read"].empty
    assert slow.empty


def test_biosnoop_shows_the_error_of_a_request(loop: str, file: Path) -> None:
    os.truncate(file, 4096)
    with started("reads_that_fail", loop) as load:
        ios, facts = traced("biosnoop", load, disk=Path(loop).name, pid=load.pid)

    failed = len(facts["errors"])  # none on 6.1, where the loop device then reads zeros
    assert facts["errors"] in ([], ["EIO"] * 7)
    assert (ios["status"] == "I/O error").sum() == failed
    assert (ios["status"] == "").sum() == 8 - failed


@in_one_of_four
def test_biotop_adds_up_each_process(loop: str) -> None:
    disk = Path(loop).name
    with started("direct_writes", loop) as load:
        before = stat(disk)
        users, facts = traced("biotop", load, disk=disk)
        after = stat(disk)

    row = one(users, pid=load.pid, operation="write", disk=disk)
    assert row["count"] == 101
    assert row["size_bytes"] == 101 * 4096 == 512 * (after["sectors"] - before["sectors"])
    assert 0 < row["max_ms"] <= row["total_ms"] <= 1.01 * facts["took_ms"]
    assert users.loc[users["operation"] == "flush", "count"].sum() == 3


def test_biotop_filters_by_process(loop: str) -> None:
    with started("direct_writes", loop) as load:
        users, _ = traced("biotop", load, pid=load.pid)

    assert set(users["pid"]) == {load.pid}
    assert one(users, operation="write", disk=Path(loop).name)["count"] == 101


@pytest.mark.parametrize("by", ["comm", "pid", "all"])
def test_bitesize_counts_every_size(loop: str, by: str) -> None:
    with started("reads_of_three_sizes", loop) as load:
        sizes, facts = traced("bitesize", load, disk=Path(loop).name, by=by, pid=load.pid)

    counted = sizes.set_index("size_low_bytes")["count"].to_dict()
    assert counted == {int(size): count for size, count in facts["counts"].items()}
    names = {"comm": ["comm"], "pid": ["pid", "comm"], "all": []}[by]
    shown = ["operation", "size_low_bytes", "size_high_bytes", "count"]
    assert sizes.columns.tolist() == names + shown
    assert by != "pid" or set(sizes["pid"]) == {load.pid}


@in_one_of_four
def test_biopattern_separates_sequential_from_random(loop: str) -> None:
    with started("sequential_then_random", loop) as load:
        patterns, _ = traced("biopattern", load, disk=Path(loop).name)

    row = one(patterns, disk=Path(loop).name, operation="read")
    assert (row["sequential"], row["random"]) == (101, 53)
    assert row["sequential_bytes"] == 101 * 4096
    assert row["random_bytes"] == 53 * 4096


@in_one_of_four
def test_biostacks_shows_the_code_that_read(loop: str) -> None:
    disk = Path(loop).name
    with started("direct_reads", loop) as load:
        origins, facts = traced("biostacks", load, disk=disk, pid=load.pid)

    row = one(origins, pid=load.pid, operation="read", disk=disk)
    assert row["count"] == 211
    assert row["kernel_stack"].index("readv") < row["kernel_stack"].index("blk_mq_submit_bio")
    assert 0 < row["max_us"] <= row["total_us"] <= 1010 * facts["took_ms"]


def test_biostacks_takes_only_the_requested_stacks(loop: str) -> None:
    disk = Path(loop).name
    with started("direct_reads", loop) as load:
        kernel, _ = traced("biostacks", load, disk=disk, pid=load.pid, stacks="kernel")
    with started("direct_reads", loop) as load:
        slow, _ = traced("biostacks", load, disk=disk, pid=load.pid, min_us=3_600_000_000)

    assert "user_stack" not in kernel
    assert kernel["count"].sum() == 211
    assert slow.empty


@in_one_of_four
def test_bioheat_counts_each_interval_separately(loop: str) -> None:
    with started("reads_in_two_bursts", loop) as load:
        heat, facts = traced("bioheat", load, disk=Path(loop).name, moment=0.02)

    reads = heat[heat["operation"] == "read"]
    at = reads["time"].astype("int64") / 1e9
    later = at >= facts["again_s"] - 0.02
    assert reads["count"].sum() == 223
    assert reads.loc[later, "count"].sum() == 12
    assert facts["begun_s"] - 0.02 <= at.min()
    assert not ((at > facts["paused_s"]) & ~later).any()
    steps = (reads["time"] - reads["time"].min()).dt.total_seconds() / 0.02
    assert (steps - steps.round()).abs().max() < 1e-6
    assert (reads["latency_low_us"] < reads["latency_high_us"]).all()
