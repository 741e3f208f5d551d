"""The probes of lost TCP packets, each under a known load."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from probes.checking import traced

import kernelscope
from workloads.probes import started

pytestmark = pytest.mark.kernel


def test_tcpretrans_shows_every_packet_that_tcp_info_counts() -> None:
    with started("lost_packets") as load:
        seen, facts = traced("tcpretrans", load)

    sent = seen[seen["cause"] != "SYN+ACK"]
    for local, remote, counted in facts["data"] + facts["calls"]:
        rows = sent[(sent["local_port"] == local) & (sent["remote_port"] == remote)]
        assert list(rows["retransmits"]) == list(range(1, counted + 1))
        assert rows["seq"].nunique() == 1
    for number, (local, _, _) in enumerate(facts["data"]):
        rows = sent[sent["local_port"] == local]
        assert set(rows["cause"]) <= {"probe", "timeout"}
        assert set(rows["length_bytes"]) == {101 + number}
    for local, _, _ in facts["calls"]:
        assert set(sent[sent["local_port"] == local]["cause"]) == {"SYN"}
    answered = seen[(seen["cause"] == "SYN+ACK") & (seen["local_port"] == facts["data"][0][1])]
    assert set(answered["remote_port"]) == {facts["calls"][1][0]}
    assert list(answered["retransmits"]) == list(range(1, len(answered) + 1))


def test_tcpretrans_keeps_one_port_on_request() -> None:
    with started("lost_packets") as load:
        seen, _ = traced("tcpretrans", load, port=9)

    assert seen.empty


def test_tcpdrop_shows_every_packet_that_was_lost_and_why() -> None:
    with started("lost_packets") as load:
        drops, facts = traced("tcpdrop", load)

    filtered = drops[drops["reason"] == "SOCKET_FILTER"]
    assert filtered["kernel_stack"].str.contains("tcp_v4_rcv").all()
    for local, remote, counted in facts["data"]:  # one of them arrived
        rows = towards(filtered, local, remote)
        assert len(rows) == counted
        assert set(rows["flags"]) == {"PA"}
    deaf, answered = facts["calls"]
    assert list(towards(filtered, *deaf[:2])["flags"]) == ["S"] * (deaf[2] + 1)
    assert set(towards(filtered, answered[1], answered[0])["flags"]) == {"SA"}
    refused = drops[(drops["destination_port"] == facts["refused"]) & (drops["flags"] == "S")]
    assert list(refused["reason"]) == ["NO_SOCKET"]
    assert set(refused["destination_address"]) == {"127.0.0.1"}


def towards(drops: pd.DataFrame, source: int, destination: int) -> pd.DataFrame:
    """Return the packets from one port to another."""
    ports = drops["source_port"], drops["destination_port"]
    return drops[(ports[0] == source) & (ports[1] == destination)]


def test_tcpdrop_keeps_one_port_on_request() -> None:
    with started("lost_packets") as load:
        drops, _ = traced("tcpdrop", load, port=9)

    assert drops.empty


def test_a_recording_names_the_reasons_of_the_kernel_that_made_it(tmp_path: Path) -> None:
    path = tmp_path / "drops.ksr"
    with started("lost_packets") as load:
        drops, _ = traced("tcpdrop", load, record=path)

    assert set(drops["reason"]) >= {"NO_SOCKET", "SOCKET_FILTER"}
    pd.testing.assert_frame_equal(kernelscope.open(path), drops)
