"""The probes of bpf/fs about disks: ext4, write-back, the page cache."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from probes.checking import one, traced
from probes.disks import disk_of, io_of, mounted_ext4

from workloads.probes import started

pytestmark = pytest.mark.kernel

PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def ext4(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with mounted_ext4(tmp_path_factory.mktemp("ext4")) as folder:
        yield folder


def test_ext4slower_shows_each_operation_with_its_file(ext4: Path) -> None:
    with started("ext4_work", str(ext4)) as load:
        slow, facts = traced("ext4slower", load, min_us=0, disk=disk_of(ext4))

    mine = slow[(slow["pid"] == load.pid) & (slow["inode"] == facts["inode"])]
    assert mine["operation"].value_counts().to_dict() == {
        **{"write": 101, "fsync": 11, "write-back": 11, "truncate": 7, "allocate": 5}
    }
    assert set(mine["file"]) == {facts["file"]}
    assert set(mine["error"]) == {""}
    syncs = mine[mine["operation"] == "fsync"]["duration_us"]
    assert (syncs.to_numpy() <= facts["syncs_us"]).all()
    gone = slow[(slow["pid"] == load.pid) & (slow["operation"] == "unlink")]
    assert gone["file"].tolist() == [f"ks-gone-{number}" for number in range(13)]
    assert set(slow["device"]) == {disk_of(ext4)}


def test_ext4slower_leaves_out_fast_operations_on_request(ext4: Path) -> None:
    with started("ext4_work", str(ext4)) as load:
        slow, facts = traced("ext4slower", load, pid=load.pid, min_us=300)

    assert (slow["duration_us"] >= 300).all()
    syncs = (slow["operation"] == "fsync").sum()
    assert syncs <= sum(took >= 300 for took in facts["syncs_us"])


def test_writeback_counts_the_pages_that_a_sync_writes(ext4: Path) -> None:
    os.sync()
    with started("pages_dirtied", str(ext4)) as load:
        rounds, facts = traced("writeback", load, disk=disk_of(ext4))

    assert set(rounds["device"]) == {disk_of(ext4)}
    assert (rounds["written_bytes"] > 0).all()
    synced = rounds[rounds["reason"] == "SYNC"]
    assert 1009 * PAGE <= synced["written_bytes"].sum() <= (1009 + 64) * PAGE
    assert 0 < synced["duration_us"].sum() <= facts["took_us"]


def test_writeback_shows_empty_rounds_on_request(ext4: Path) -> None:
    with started("pages_dirtied", str(ext4)) as load:
        rounds, _ = traced("writeback", load, empty=True)

    assert (rounds["written_bytes"] == 0).any()
    assert disk_of(ext4) in set(rounds["device"])


@pytest.fixture
def cold(ext4: Path) -> Iterator[Path]:
    """Make a file of 1 MiB that can be dropped from memory."""
    path = ext4 / "ks-cold"
    path.write_bytes(b"x" * (1 << 20))
    os.sync()
    yield path
    with contextlib.suppress(OSError):
        path.unlink()


def test_cachestat_separates_hits_from_misses(cold: Path) -> None:
    with started("cached_and_not", str(cold)) as load:
        before = io_of(load.pid)
        pages, _ = traced("cachestat", load, pid=load.pid, by="file")
        after = io_of(load.pid)

    mine = pages[pages["file"] == cold.name]
    assert (mine["misses"].sum(), mine["hits"].sum()) == (211, 7 * 101)
    assert mine["readahead"].sum() == 0
    assert mine["misses"].sum() * PAGE == after["read_bytes"] - before["read_bytes"]
    assert mine["read_bytes"].sum() == 211 * 100 + 7 * 101 * PAGE


def test_cachestat_counts_readahead(cold: Path) -> None:
    with started("read_ahead", str(cold)) as load:
        pages, _ = traced("cachestat", load, by="process", every=0)

    row = one(pages, pid=load.pid)
    assert row["comm"] == "python"
    assert row["misses"] < 20
    assert row["hits"] > 190
    assert 211 <= row["misses"] + row["readahead"] <= (1 << 20) // PAGE


def test_cachestat_counts_all_reads_together(cold: Path) -> None:
    with started("cached_and_not", str(cold)) as load:
        pages, _ = traced("cachestat", load)

    assert pages.columns.tolist() == ["time", "hits", "misses", "readahead", "read_bytes"]
    assert pages["misses"].sum() >= 211
    assert pages["time"].is_unique
