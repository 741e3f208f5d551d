"""The probes of TCP connections' beginnings, each under a known load."""

from __future__ import annotations

import pytest
from probes.checking import one, traced
from probes.loads import started

pytestmark = pytest.mark.kernel


def test_tcpconnect_shows_every_connect_with_its_ends_and_outcome() -> None:
    with started("connections") as load:
        connects, facts = traced("tcpconnect", load, pid=load.pid)

    assert len(connects) == 17 + 3 + 2
    assert (connects["pid"] == load.pid).all()
    for each in facts["made"]:
        local, remote = each["ports"]
        row = one(connects, local_port=local, remote_port=remote)
        assert row["local_address"] == row["remote_address"] == each["address"]
        assert (row["established"], row["error"]) == (True, "")
        assert row["duration_ms"] > 0
    refused = connects[connects["error"] == "ECONNREFUSED"]
    assert sorted(refused["remote_port"]) == sorted(facts["refused"])
    for address, port, error in facts["unreachable"]:
        row = one(connects, remote_address=address, remote_port=port, local_port=0)
        assert (row["established"], row["error"]) == (False, error)


def test_tcpconnect_keeps_those_that_failed_on_request() -> None:
    with started("connections") as load:
        connects, _ = traced("tcpconnect", load, pid=load.pid, failed=True)

    assert len(connects) == 3 + 2
    assert not connects["established"].any()
