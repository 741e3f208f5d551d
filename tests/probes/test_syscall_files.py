"""The probes of bpf/syscall about files, each under a known load."""

from __future__ import annotations

import time

import pytest
from probes.checking import one, traced

from workloads.probes import started

pytestmark = pytest.mark.kernel


def test_statsnoop_shows_every_stat_with_its_result() -> None:
    with started("files_asked_about") as load:
        queries, facts = traced("statsnoop", load)

    queries = queries[queries["pid"] == load.pid]
    there = queries[queries["path"] == facts["path"]]
    assert (there["syscall"] != "statx").sum() == 103
    assert (there["syscall"] == "statx").sum() == 1
    assert set(there["error"]) == {""}
    assert (there["duration_us"] > 0).all()
    missing = queries[queries["path"] == facts["path"] + ".missing"]
    assert missing["error"].tolist() == ["ENOENT"] * 19
    assert one(queries, syscall="statfs")["path"] == facts["folder"]
    cut = one(queries, truncated=True)
    assert cut["path"] == "/" + "y" * 254
    assert cut["error"] == "ENAMETOOLONG"


def test_statsnoop_shows_only_failures_of_one_process_on_request() -> None:
    with started("files_asked_about") as load:
        queries, _ = traced("statsnoop", load, pid=load.pid, failed=True)

    assert queries["error"].tolist() == ["ENOENT"] * 19 + ["ENAMETOOLONG"]


def test_syncsnoop_shows_who_waits_for_which_file() -> None:
    begun = time.monotonic()
    with started("files_synced") as load:
        syncs, facts = traced("syncsnoop", load)
    passed_us = (time.monotonic() - begun) * 1e6

    syncs = syncs[syncs["pid"] == load.pid]
    good = syncs[syncs["error"] == ""]
    counts = {"fsync": 31, "fdatasync": 13, "msync": 7, "sync_file_range": 1}
    assert good["syscall"].value_counts().to_dict() == {**counts, "syncfs": 1, "sync": 1}
    without = good["syscall"].isin(["sync", "msync"])
    assert set(good[~without]["file"]) == {facts["name"]}
    assert set(good[~without]["fd"]) == {facts["fd"]}
    assert good[without]["fd"].isna().all()
    assert set(good[without]["file"]) == {""}
    failed = syncs[syncs["error"] == "EBADF"]
    assert failed["fd"].tolist() == [9999] * 3
    assert 0 < syncs["duration_us"].sum() < passed_us


def test_syncsnoop_leaves_out_fast_calls_on_request() -> None:
    with started("files_synced") as load:
        syncs, _ = traced("syncsnoop", load, pid=load.pid, min_ms=3_600_000)

    assert len(syncs) == 0
