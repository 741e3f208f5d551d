"""The probes of bpf/memory about the kernel's own work."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from probes.checking import in_one_of_four, one, traced
from probes.disks import mounted_ext4

from kernelscope.errors import LostEventsWarning
from kernelscope.tracing import cgroups
from workloads.probes import started

pytestmark = pytest.mark.kernel


def allowed(facts: dict[str, Any]) -> dict[str, Any]:
    """Return a load's facts, if the machine allowed it to run."""
    if "refused" in facts:
        pytest.skip(f"the load is refused: {facts['refused']}")
    return facts


def vmstat(name: str) -> int:
    """Return one of the kernel's own counts."""
    words = Path("/proc/vmstat").read_text().split()
    return int(words[words.index(name) + 1])


def populated_zones() -> list[str]:
    """Return the zones that have pages: proc_zoneinfo."""
    names, zone = [], ""
    for line in Path("/proc/zoneinfo").read_text().splitlines():
        words = line.split()
        if line.startswith("Node"):
            zone = words[-1]
        elif words[0] == "present" and int(words[1]):
            names.append(zone)
    return names


def slabsites(**options: Any) -> tuple[int, pd.DataFrame, dict[str, Any]]:
    """Repeat the run until no interrupt allocated during the probe; return the load's pid too."""
    for attempt in range(4):
        with started("kernel_objects") as load:
            try:
                sites, facts = traced("slabsites", load, pid=load.pid, **options)
            except LostEventsWarning:
                if attempt == 3:
                    raise
            else:
                return load.pid, sites, facts
    raise AssertionError


def test_slabsites_counts_allocated_and_held_objects() -> None:
    _, sites, facts = slabsites()

    direct = sites["kernel_stack"].str.contains(r"eventfd\w*;[^;]*\Z")
    mine = sites[direct & (sites["cache"] == "kmalloc")]
    assert mine["count"].sum() == 101 + 53
    assert mine["held"].sum() == len(facts["kept"]) == 101
    row = mine.iloc[0]
    assert row["held_bytes"] == row["held"] * row["object_bytes"]
    assert row["allocated_bytes"] == row["count"] * row["object_bytes"]


def test_slabsites_adds_up_caches_and_processes() -> None:
    _, caches, _ = slabsites(by="cache")
    pid, processes, _ = slabsites(by="process", comm="python")

    assert "kernel_stack" not in caches
    assert not caches.duplicated(["cache", "object_bytes"]).any()
    assert caches[caches["cache"] == "kmalloc"]["count"].sum() >= 101 + 53
    assert set(processes["pid"]) == {pid}
    assert set(processes["comm"]) == {"python"}
    assert processes[processes["cache"] == "kmalloc"]["held"].sum() >= 101


def test_oomkill_shows_the_victims_of_a_limit() -> None:
    with started("memory_run_out") as load:
        victims, facts = traced("oomkill", load)

    ended = allowed(facts)["ended"]
    assert set(ended.values()) == {signal.SIGKILL}
    mine = victims[victims["comm"] == "ks-victim"]
    assert mine["pid"].tolist() == [int(pid) for pid in ended]
    assert len(mine) == facts["kills"] == 3
    assert mine["asked_by_pid"].tolist() == mine["pid"].tolist()
    assert set(mine["uid"]) <= {str(os.geteuid()), "root", os.geteuid()}
    assert (mine["anon_bytes"] > 8 << 20).all()
    assert (mine["anon_bytes"] < mine["virtual_bytes"]).all()


def test_oomkill_shows_the_victims_of_one_name_on_request() -> None:
    with started("memory_run_out") as load:
        victims, facts = traced("oomkill", load, comm="ks-other")
    assert victims.empty
    with started("memory_run_out") as load:
        victims, facts = traced("oomkill", load, comm="ks-victim")
    assert len(victims) == len(allowed(facts)["ended"])


@pytest.mark.skipif(cgroups.mount() is None, reason="no cgroups of version 2 are mounted")
def test_oomkill_shows_the_victims_of_one_cgroup_on_request() -> None:
    root = cgroups.mount()
    assert root is not None
    other = root / f"ks-other-{os.getpid()}"
    other.mkdir()
    try:
        with started("memory_run_out") as load:
            victims, facts = traced("oomkill", load, cgroup=str(other))
        assert victims.empty
        with started("memory_run_out") as load:
            victims, facts = traced("oomkill", load, cgroup=str(root))
    finally:
        other.rmdir()
    assert (victims["comm"] == "ks-victim").sum() == len(allowed(facts)["ended"])


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Make a folder whose files can be dropped from memory."""
    if os.major(tmp_path.stat().st_dev):
        yield tmp_path
    else:
        with mounted_ext4(tmp_path) as folder:
            yield folder


def test_reclaim_counts_the_pages_that_a_limit_makes_a_reader_free(disk: Path) -> None:
    with started("limit_reached", str(disk)) as load:
        reclaims, facts = traced("reclaim", load)

    mine = reclaims[reclaims["pid"] == allowed(facts)["child"]]
    counted = facts["counted"]
    left = counted.get("cache", counted.get("file")) // os.sysconf("SC_PAGE_SIZE")
    freed = 4093 + counted["workingset_refault_file"] - left
    assert set(mine["kind"]) == {"limit"}
    assert int(mine["freed_pages"].sum()) == pytest.approx(freed, rel=0.05)
    assert (mine["duration_us"] > 0).all()
    assert set(mine["comm"]) == {"python"}


def test_reclaim_leaves_out_short_rounds_on_request(disk: Path) -> None:
    with started("limit_reached", str(disk)) as load:
        reclaims, _ = traced("reclaim", load, comm="python", min_us=30)

    assert (reclaims["duration_us"] >= 30).all()


@in_one_of_four
def test_compaction_shows_every_zone_each_time() -> None:
    with started("memory_compacted") as load:
        before = vmstat("compact_migrate_scanned"), vmstat("compact_free_scanned")
        compactions, facts = traced("compaction", load)
        after = vmstat("compact_migrate_scanned"), vmstat("compact_free_scanned")

    allowed(facts)
    mine = compactions[compactions["pid"] == load.pid]
    assert mine["zone"].tolist() == populated_zones() * 3
    assert set(mine["order"]) == {-1}
    assert compactions["migrate_scanned"].sum() == after[0] - before[0]
    assert compactions["free_scanned"].sum() == after[1] - before[1]
    # COMPLETE, unless another process needs the same pages
    assert set(mine["result"]) <= {"COMPLETE", "CONTENDED", "PARTIAL_SKIPPED"}


def test_compaction_filters_by_process_and_duration() -> None:
    with started("memory_compacted") as load:
        rounds, facts = traced("compaction", load, pid=load.pid)
        allowed(facts)
        limit = int(rounds["duration_us"].median())
    with started("memory_compacted") as load:
        long_ones, _ = traced("compaction", load, pid=load.pid, min_us=limit)

    assert set(rounds["comm"]) == {"python"}
    assert (long_ones["duration_us"] >= limit).all()
    assert one(long_ones.head(1), pid=load.pid)["zone"] in populated_zones()
