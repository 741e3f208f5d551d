"""The probes of how TCP connections start, each under a known load."""

from __future__ import annotations

import socket

import pandas as pd
import pytest
from probes.checking import one, traced

from workloads.probes import started

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


def test_tcpconnect_shows_only_failures_on_request() -> None:
    with started("connections") as load:
        connects, _ = traced("tcpconnect", load, pid=load.pid, failed=True)

    assert len(connects) == 3 + 2
    assert not connects["established"].any()


def test_tcpaccept_shows_who_accepted_and_how_long_the_connection_waited() -> None:
    with started("connections_that_wait") as load:
        accepts, facts = traced("tcpaccept", load, pid=load.pid)

    assert list(accepts["fd"]) == facts["fds"]
    assert list(accepts["remote_port"]) == facts["ports"]
    assert list(accepts["queued"]) == list(range(18, -1, -1))
    assert set(accepts["local_port"]) == {facts["port"]}
    assert set(accepts["comm"]) == {"waiter"}
    assert set(accepts["backlog"]) == {61}
    assert (accepts["waited_ms"] >= facts["slept_ms"]).all()


def test_tcpaccept_leaves_out_short_waits_on_request() -> None:
    with started("connections_that_wait") as load:
        accepts, _ = traced("tcpaccept", load, pid=load.pid, min_ms=60_000)

    assert accepts.empty


def test_tcpconnlat_times_no_connection_longer_than_its_program_did() -> None:
    with started("connections") as load:
        result, facts = traced("tcpconnlat", load, pid=load.pid)

    connects, latency = result["connects"], result["latency"]
    assert len(connects) == 17 + 3
    for each in facts["made"]:
        row = one(connects, local_port=each["ports"][0], remote_port=each["ports"][1])
        assert 0 < row["latency_ms"] < each["connect_ms"]
        assert row["error"] == ""
    refused = connects[connects["error"] == "ECONNREFUSED"]
    assert sorted(refused["remote_port"]) == sorted(facts["refused"])
    assert latency["count"].sum() == 17
    slowest = connects[connects["error"] == ""]["latency_ms"].max()
    assert latency["latency_low_ms"].max() <= slowest < latency["latency_high_ms"].max()


def test_tcpconnlat_groups_by_remote_end_and_hides_fast_rows() -> None:
    with started("connections") as load:
        result, facts = traced("tcpconnlat", load, pid=load.pid, by="remote", min_ms=60_000)

    assert result["connects"].empty
    assert sorted(result["latency"]["remote_port"]) == sorted(
        each["ports"][1] for each in facts["made"]
    )
    assert set(result["latency"]["remote_address"]) == {"127.0.0.1", "::1"}


def test_tcpstates_shows_each_connection_from_handshake_to_close() -> None:
    with started("connections") as load:
        changes, facts = traced("tcpstates", load)

    for each in facts["made"]:
        local, remote = each["ports"]
        (client, owned), (server, _) = (
            ends(changes, *pair) for pair in ((local, remote), (remote, local))
        )
        assert client == ["ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "CLOSE"]
        assert server[-4:] == ["ESTABLISHED", "CLOSE_WAIT", "LAST_ACK", "CLOSE"]
        assert server[:-4] in ([], ["SYN_RECV"])  # older kernels do not report it
        assert set(owned["pid"]) == {load.pid}
        assert (owned["duration_ms"] > 0).all()


def ends(changes: pd.DataFrame, local: int, remote: int) -> tuple[list[str], pd.DataFrame]:
    """Return the states of one end, and its rows."""
    rows = changes[(changes["local_port"] == local) & (changes["remote_port"] == remote)]
    assert (rows["from"].iloc[1:].to_numpy() == rows["to"].iloc[:-1].to_numpy()).all()
    return list(rows["to"]), rows


def free_port() -> int:
    """Return a port that no socket has."""
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return int(own.getsockname()[1])


@pytest.mark.parametrize(
    ("probe", "rows"),
    [("tcpconnect", 1), ("tcpaccept", 1), ("tcpconnlat", 1), ("tcptop", 2), ("tcplife", 2)],
)
def test_one_port_is_kept_on_request(probe: str, rows: int) -> None:
    port = free_port()
    with started("two_ports", str(port)) as load:
        found, _ = traced(probe, load, pid=load.pid, port=port)

    table = found["connects"] if probe == "tcpconnlat" else found
    assert len(table) == rows
    assert ((table["local_port"] == port) | (table["remote_port"] == port)).all()


@pytest.mark.parametrize("probe", ["tcpstates", "tcprtt", "bindsnoop"])
def test_one_port_is_kept_on_request_of_all_processes(probe: str) -> None:
    port = free_port()
    with started("two_ports", str(port)) as load:
        found, _ = traced(probe, load, port=port)

    table = found["connections"] if probe == "tcprtt" else found
    names = ["bound_port"] if probe == "bindsnoop" else ["local_port", "remote_port"]
    assert not table.empty
    assert (table[names] == port).any(axis=1).all()


def test_tcprtt_agrees_with_tcp_info() -> None:
    with started("round_trips") as load:
        result, facts = traced("tcprtt", load)

    row = one(result["connections"], local_port=facts["port"])
    assert row["rtt_ms"] == facts["rtt_us"] / 1000
    assert row["variation_ms"] == facts["variation_us"] / 1000
    assert row["lowest_ms"] == facts["lowest_us"] / 1000
    assert row["packets"] == facts["packets"]  # not the handshake's, but the last message
    assert result["latency"]["count"].sum() >= facts["packets"]


def test_tcprtt_groups_by_port_on_request() -> None:
    with started("round_trips") as load:
        result, facts = traced("tcprtt", load, by="local_port")

    counted = result["latency"].groupby("local_port")["count"].sum()
    assert counted[facts["port"]] == facts["packets"]


def test_tcptop_counts_every_byte_at_both_ends() -> None:
    with started("connections") as load:
        result, facts = traced("tcptop", load, pid=load.pid)

    assert set(result["comm"]) == {"python"}
    for each in facts["made"]:
        if not each["sent"]:
            continue
        local, remote = each["ports"]
        client = one(result, local_port=local, remote_port=remote)
        server = one(result, local_port=remote, remote_port=local)
        assert client["sent_bytes"] == server["received_bytes"] == each["sent"]
        assert client["received_bytes"] == server["sent_bytes"] == each["received"]
        assert client["local_address"] == server["remote_address"] == each["address"]


def test_tcptop_sums_by_process_on_request() -> None:
    with started("connections") as load:
        result, facts = traced("tcptop", load, pid=load.pid, by="process")

    total = sum(each["sent"] + each["received"] for each in facts["made"])
    assert list(result["pid"]) == [load.pid]
    assert list(result["sent_bytes"]) == list(result["received_bytes"]) == [total]
