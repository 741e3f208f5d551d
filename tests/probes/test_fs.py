"""The probes of bpf/fs, each under a known load and compared with another source."""

from __future__ import annotations

import os

import pytest
from probes.checking import one, traced

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


def test_opensnoop_shows_only_failures_of_one_process_on_request() -> None:
    with started("files_opened") as load:
        opens, _ = traced("opensnoop", load, pid=load.pid, failed=True)

    assert opens["error"].tolist() == ["ENOENT"] * 23
