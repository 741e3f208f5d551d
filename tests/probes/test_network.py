"""The probes of bpf/network, each under a known load and compared with another source."""

from __future__ import annotations

import pytest
from probes.checking import one, traced

from workloads.probes import started

pytestmark = pytest.mark.kernel


def test_tcplife_shows_both_ends_of_every_connection_with_its_bytes() -> None:
    with started("connections") as load:
        lives, facts = traced("tcplife", load, pid=load.pid)

    assert len(lives) == 2 * 17 + 3
    assert set(lives["comm"]) == {"python"}
    for each in facts["made"]:
        local, remote = each["ports"]
        client = one(lives, local_port=local, remote_port=remote, role="connected")
        server = one(lives, local_port=remote, remote_port=local, role="accepted")
        assert client["sent_bytes"] == server["received_bytes"] == each["sent"]
        assert client["received_bytes"] == server["sent_bytes"] == each["received"]
        for end in (client, server):
            assert end["local_address"] == end["remote_address"] == each["address"]
            assert end["error"] == ""
            assert end["duration_ms"] > 0
    refused = lives[lives["error"] == "ECONNREFUSED"]
    assert sorted(refused["remote_port"]) == sorted(facts["refused"])


def test_bindsnoop_shows_every_bind_with_its_options_and_port() -> None:
    with started("binds") as load:
        binds, facts = traced("bindsnoop", load, pid=load.pid)

    assert len(binds) == 23 + 1 + 3
    made = binds.iloc[:23]
    columns = ["protocol", "address", "bound_port", "reuse_address", "reuse_port"]
    assert made[columns].to_numpy().tolist() == facts["made"]
    assert set(made["port"]) == {0}
    late = binds.iloc[24:]
    assert set(late["port"]) == {facts["taken"]}
    assert set(late["bound_port"]) == {0}
    assert set(late["error"]) == {"EADDRINUSE"}
    assert set(binds["comm"]) == {"binder"}


def test_bindsnoop_shows_only_failures_on_request() -> None:
    with started("binds") as load:
        binds, _ = traced("bindsnoop", load, pid=load.pid, failed=True)

    assert list(binds["error"]) == ["EADDRINUSE"] * 3


def test_gethostlatency_shows_every_lookup_with_its_name_and_result() -> None:
    with started("lookups") as load:
        lookups, facts = traced("gethostlatency", load, pid=load.pid)

    assert len(lookups) == 31 + 7 + 2 * 3
    found = lookups[lookups["service"] != ""]
    assert list(found["host"]) == [f"127.0.0.{number}" for number in range(31)]
    assert list(found["service"]) == [str(8000 + number) for number in range(31)]
    missing = lookups[lookups["error"] == "EAI_NONAME"]
    assert list(missing["host"]) == [f"no-{number}.invalid" for number in range(7)]
    for call, host in (("gethostbyname", "127.0.0.1"), ("gethostbyname2", "127.0.0.2")):
        assert list(lookups[lookups["call"] == call]["host"]) == [host] * 3
    assert (lookups["duration_ms"] > 0).all()
    assert lookups["duration_ms"].sum() < facts["elapsed_ms"]


def test_gethostlatency_shows_only_failures_on_request() -> None:
    with started("lookups") as load:
        failed, _ = traced("gethostlatency", load, pid=load.pid, failed=True)

    assert set(failed["error"]) == {"EAI_NONAME"}
    assert len(failed) == 7
