"""The probes of bpf/block, each under a known load and held against another source."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from probes.checking import in_one_of_four, traced
from probes.loads import started

import kernelscope

pytestmark = pytest.mark.kernel


def stat(disk: str) -> dict[str, int]:
    """Return what the kernel itself counted: Documentation/block/stat.rst."""
    numbers = [int(word) for word in Path(f"/sys/block/{disk}/stat").read_text().split()]
    names = {"read": 0, "write": 4, "in flight": 8, "flush": 15}
    return {name: numbers[index] for name, index in names.items()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Make a file of 1 MiB, on a disk of its own queue."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(1 << 20))
    os.sync()
    if not disk_of(path):
        pytest.skip(f"{path} is on no disk")
    return path


def disk_of(path: Path) -> str:
    """Return the whole disk that holds a file; "" where it is on none."""
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
    """Make a disk that nothing else uses."""
    made = subprocess.run(["losetup", "-f", "--show", str(file)], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no loop device to be had: {made.stderr.strip()}")
    try:
        yield made.stdout.strip()
    finally:
        subprocess.run(["losetup", "-d", made.stdout.strip()], check=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("direct_reads", {"read": 211}), ("direct_writes", {"flush": 3, "write": 101})],
)
@in_one_of_four
def test_biolatency_counts_exactly_on_a_disk_of_its_own(
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
