"""The probe of OpenSSL, under a known load and compared with the program's own figures."""

from __future__ import annotations

import ctypes.util

import pytest
from probes.checking import one, traced

from workloads.probes import started

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not ctypes.util.find_library("ssl"), reason="OpenSSL is not installed"),
]


def test_sslsniff_shows_the_size_of_every_message_and_none_of_its_content() -> None:
    with started("tls_messages") as load:
        result, facts = traced("sslsniff", load, pid=load.pid)

    transfers = result["transfers"]
    for direction, connection in zip(("write", "read"), facts["connections"], strict=True):
        rows = transfers[transfers["direction"] == direction]
        assert list(rows["size_bytes"]) == facts["sizes"]
        assert set(rows["connection"]) == {connection}
    assert set(transfers["comm"]) == {"talker"}
    assert set(transfers["content"]) == {""}
    assert (transfers["duration_us"] > 0).all()
    largest = result["sizes"].iloc[-1]
    assert largest["size_low_bytes"] <= max(facts["sizes"]) < largest["size_high_bytes"]
    assert list(result["sizes"].groupby("direction")["count"].sum()) == [37, 37]


def test_sslsniff_shows_the_first_bytes_on_request() -> None:
    with started("tls_messages") as load:
        result, facts = traced("sslsniff", load, pid=load.pid, content=13)

    for direction in ("read", "write"):
        rows = result["transfers"][result["transfers"]["direction"] == direction]
        assert list(rows["content"]) == [
            f"secret {number:02} xxx"[:size] for number, size in enumerate(facts["sizes"])
        ]
    first = one(result["transfers"], direction="read", size_bytes=facts["sizes"][0])
    assert first["content"] == "secret 00 "
