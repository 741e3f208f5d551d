"""The probes of bpf/network, each under a known load and held against another source."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
from probes.checking import one, traced
from probes.loads import started

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


def test_tcplife_keeps_one_port_on_request() -> None:
    with started("connections") as load, socket_of_its_own() as port:
        lives, _ = traced("tcplife", load, port=port)

    assert lives.empty


@contextlib.contextmanager
def socket_of_its_own() -> Iterator[int]:
    """Hold a port that no other socket uses."""
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        yield own.getsockname()[1]
