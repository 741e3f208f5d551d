"""The probes of bpf/memory about the memory of programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from probes.checking import traced

from workloads.probes import started

pytestmark = pytest.mark.kernel

PAGE = os.sysconf("SC_PAGE_SIZE")


def faults_of(pid: int) -> dict[str, int]:
    """Return the kernel's own count of a process's faults: proc_pid_stat(5)."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return {"minor": int(words[7]), "major": int(words[9])}


def heap_end(pid: int) -> int:
    """Return where the heap ends, rounded up to a page."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if line.endswith("[heap]"):
            return int(line.split()[0].partition("-")[2], 16)
    return 0


def test_mmapsnoop_shows_every_change_of_an_address_space() -> None:
    with started("address_space") as load:
        changes, facts = traced("mmapsnoop", load, pid=load.pid)

    calls = dict(iter(changes.groupby("call")))
    sizes = [PAGE * (1009 + number) for number in range(101)]
    maps = calls["mmap"][calls["mmap"]["size_bytes"].isin(sizes)]
    assert [int(text, 16) for text in maps["address"]] == facts["maps"]
    assert maps["size_bytes"].tolist() == sizes
    assert set(maps["protection"]) == {"rw"}
    assert {int(text, 16) for text in maps["flags"]} == {0x22}
    unmaps = calls["munmap"][calls["munmap"]["size_bytes"].isin(facts["sizes"])]
    assert unmaps["size_bytes"].tolist() == facts["sizes"]
    protected = calls["mprotect"][calls["mprotect"]["size_bytes"].isin(sizes)]
    assert [int(text, 16) for text in protected["address"]] == facts["maps"][:53]
    assert set(protected["protection"]) == {"r"}
    moves = calls["mremap"][calls["mremap"]["size_bytes"].isin(facts["sizes"][:23])]
    assert [int(text, 16) for text in moves["address"]] == facts["moved"]
    heap = calls["brk"][calls["brk"]["size_bytes"] == PAGE * 1013]
    assert [int(text, 16) for text in heap["address"]] == facts["ends"]
    assert (changes["error"] == "EINVAL").sum() == 7


def test_mmapsnoop_names_the_file_that_is_mapped(tmp_path: Path) -> None:
    file = tmp_path / "ks-mapped"
    file.write_bytes(b"x" * (1 << 20))
    with started("pages_touched", str(file)) as load:
        changes, _ = traced("mmapsnoop", load, pid=load.pid, min_size=1 << 20)

    mapped = changes[changes["file"] == file.name]
    assert mapped["size_bytes"].tolist() == [1 << 20]
    assert mapped["protection"].tolist() == ["r"]
    assert (mapped["fd"] > 2).all()
    assert (changes["size_bytes"] >= 1 << 20).all()


def test_mmapsnoop_shows_only_failures_on_request() -> None:
    with started("address_space") as load:
        changes, _ = traced("mmapsnoop", load, pid=load.pid, failed=True)

    assert changes["error"].tolist() == ["EINVAL"] * 7
    assert changes["call"].tolist() == ["mmap"] * 7


def test_brkstack_sums_up_heap_growth() -> None:
    with started("heap_grown") as load:
        before = heap_end(load.pid)
        growth, _ = traced("brkstack", load, comm="python")
        after = heap_end(load.pid)

    growth = growth[growth["pid"] == load.pid]
    steps = growth[growth["count"] >= 101]
    assert len(steps) == 1
    assert steps["user_stack"].iloc[0].endswith("brk")
    assert abs(int(growth["grown_bytes"].sum()) - (after - before)) < PAGE
    assert growth["grown_bytes"].sum() >= 101 * 4099


def test_brkstack_leaves_out_small_steps_on_request() -> None:
    with started("heap_grown") as load:
        growth, _ = traced("brkstack", load, pid=load.pid, min_size=4100)

    assert (growth["grown_bytes"] >= 4100 * growth["count"]).all()
    assert (growth["count"] < 101).all()


def test_pagefaults_counts_what_the_kernel_counts(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * (1 << 20))
    with started("pages_touched", str(file)) as load:
        before = faults_of(load.pid)
        faults, _ = traced("pagefaults", load, pid=load.pid)
        after = faults_of(load.pid)

    count = faults.groupby("kind")["count"].sum().to_dict()
    assert count["minor"] == after["minor"] - before["minor"] >= 1009
    assert count.get("major", 0) == after["major"] - before["major"]
    if os.major(file.stat().st_dev):  # on a disk, so that it can be dropped from memory
        assert count["major"] >= 101
    assert faults["user_stack"].str.len().max() > 0


def test_pagefaults_counts_without_stacks_on_request(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * (1 << 20))
    with started("pages_touched", str(file)) as load:
        faults, _ = traced("pagefaults", load, stacks="none")

    faults = faults[faults["pid"] == load.pid]
    assert "user_stack" not in faults
    assert set(faults["comm"]) == {"python"}
    assert faults["kind"].is_unique
    assert faults["count"].max() >= 1009


def test_memleak_finds_memory_still_held() -> None:
    with started("memory_leaked") as load:
        tables, facts = traced("memleak", load, pid=load.pid, min_size=4099)

    pieces = tables["pieces"]
    sizes = {int(row.address, 16): row.size_bytes for row in pieces.itertuples()}
    for address, size in facts["kept"]:
        assert sizes[address] == size
    assert 4099 not in set(pieces["size_bytes"])
    assert 4111 not in set(pieces["size_bytes"])
    sites = tables["sites"]
    assert (sites["pid"] == load.pid).all()
    assert sites["held_bytes"].sum() == pieces["size_bytes"].sum()
    assert sites["held"].sum() == len(pieces)
    assert sites["taken"].sum() >= len(pieces) + 211 + 23


def test_memleak_read_at_intervals_lists_each_allocation_once() -> None:
    with started("memory_leaked") as load:
        tables, facts = traced("memleak", load, pid=load.pid, min_size=4099, interval="10ms")

    assert tables["sites"]["time"].nunique() > 2
    pieces = tables["pieces"]
    assert pieces["address"].is_unique
    sizes = {int(row.address, 16): row.size_bytes for row in pieces.itertuples()}
    for address, size in facts["kept"]:
        assert sizes[address] == size


def test_memleak_leaves_out_small_allocations_on_request() -> None:
    with started("memory_leaked") as load:
        tables, facts = traced("memleak", load, comm="python", min_size=9001)

    mine = tables["pieces"][tables["pieces"]["pid"] == load.pid]
    assert set(mine["size_bytes"]) >= {size for _, size in facts["kept"] if size >= 9001}
    assert mine["size_bytes"].min() >= 9001
