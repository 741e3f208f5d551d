"""The probes of packets and sockets, each under a known load and compared with another source."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from probes import checking
from probes.checking import one, traced

import kernelscope
from workloads.probes import started

pytestmark = pytest.mark.kernel


def test_udptop_sums_what_each_socket_sent_and_received() -> None:
    with started("datagrams") as load:
        top, facts = traced("udptop", load, pid=load.pid)

    assert len(top) == len(facts["totals"]) == 4
    for wanted in facts["totals"]:
        seen = one(top, local_port=wanted["local_port"])
        for name in ("sent_packets", "sent_bytes", "received_packets", "received_bytes"):
            assert seen[name] == wanted.get(name, 0), name
        assert seen["local_address"] == wanted["local_address"]
        assert seen["pid"] == load.pid
    assert one(top, remote_port=facts["connected_to"])["sent_packets"] == 112


def test_udptop_sums_by_process_and_keeps_one_port_on_request() -> None:
    with started("datagrams") as load:
        top, _ = traced("udptop", load, pid=load.pid, by="process")
        assert list(top.columns)[:2] == ["pid", "comm"]
        assert top[["sent_packets", "received_packets"]].to_numpy().tolist() == [[223, 223]]
    with started("datagrams") as load:
        top, _ = traced("udptop", load, pid=load.pid, port=9)
    assert top.empty


def test_skbdrop_counts_drops_like_the_kernel_and_shows_reasons() -> None:
    with started("datagrams_for_nobody") as load:
        drops, facts = traced("skbdrop", load, protocol="udp")

    refused = drops[drops["reason"] == "NO_SOCKET"]
    assert refused["count"].sum() == sum(facts["no_ports"]) == 227
    assert set(refused["protocol"]) == {"UDP"}
    v6 = refused["kernel_stack"].str.contains("udp6|udpv6")
    assert refused[v6]["count"].sum() == facts["no_ports"][1]
    assert refused["kernel_stack"].str.contains("udp").all()


def test_skbdrop_gives_a_row_for_each_reason_and_leaves_out_other_protocols() -> None:
    with started("datagrams_for_nobody") as load:
        drops, _ = traced("skbdrop", load, by="reason", protocol="udp")
        assert one(drops, reason="NO_SOCKET")["count"] == 227
        assert "kernel_stack" not in drops
    with started("datagrams_for_nobody") as load:
        drops, _ = traced("skbdrop", load, protocol="tcp")
    assert "UDP" not in set(drops["protocol"])


def test_qdisclat_counts_a_wait_for_each_packet_of_a_queue() -> None:
    with started("queued_datagrams") as load:
        waits, facts = traced("qdisclat", load)

    mine = waits[(waits["interface"] == "lo") & (waits["qdisc"] == "bfifo")]
    assert facts["received"] == 229
    assert mine["count"].sum() == facts["counted"] == 229


def test_qdisclat_shows_the_wait_that_a_limited_rate_makes() -> None:
    rate = 200_000
    with started("queued_datagrams", str(rate)) as load:
        waits, facts = traced("qdisclat", load)

    if "refused" not in facts:  # a kernel without tbf reports it
        mine = waits[waits["qdisc"] == "tbf"]
        # A timer releases them: an interrupt, some of which may not be seen (see in_one_of_four).
        assert 0.9 * 229 <= mine["count"].sum() <= 229
        last_ms = (229 * (109 + 42) - 1600) / rate * 1e3  # after a first burst of 1600 bytes
        assert mine["latency_high_us"].max() / 1e3 >= (last_ms - facts["sending_ms"]) * 0.9


def test_netlatency_counts_each_datagram_queued_and_read() -> None:
    with started("late_reads") as load:
        latency, facts = traced("netlatency", load, by="port")

    mine = latency[(latency["port"] == facts["port"]) & (latency["protocol"] == "UDP")]
    queued, read = (mine[mine["stage"] == stage] for stage in ("queued", "read"))
    assert queued["count"].sum() == read["count"].sum() == 233
    late = read[read["latency_high_us"] > 50_000]
    assert late["count"].sum() >= 7
    assert queued[queued["latency_low_us"] > 50_000]["count"].sum() < 7


def test_netlatency_shows_how_long_tcp_data_waited_for_its_reader() -> None:
    with started("late_stream") as load:
        latency, facts = traced("netlatency", load, by="port")

    mine = latency[(latency["port"] == facts["port"]) & (latency["protocol"] == "TCP")]
    read = mine[mine["stage"] == "read"]
    assert read["count"].sum() == 11
    assert (read["latency_high_us"] > 5_000).all()


def test_netlatency_keeps_one_port_on_request() -> None:
    with started("late_reads") as load:
        latency, _ = traced("netlatency", load, port=9)

    assert latency.empty


# --- an interface --------------------------------------------------------------------------------


@dataclass
class Interface:
    """The interface at which the load's packets arrive. under: runs a command at the other end."""

    name: str = "lo"
    addresses: tuple[str, ...] = ()
    under: tuple[str, ...] = ()


@contextlib.contextmanager
def interface() -> Iterator[Interface]:
    """One end of a cable to another network namespace; lo if the kernel has no veth."""
    here, there, space = (f"ks{name}{os.getpid() % 10**6}" for name in ("a", "b", "n"))
    link = ("link", "add", here, "type", "veth", "peer", "name", there)
    if shutil.which("ip") is None or _ip("netns", "add", space).returncode:
        yield Interface()
        return
    try:
        if _ip(*link).returncode:
            yield Interface()
            return
        _ip("link", "set", there, "netns", space)
        for end, address in ((here, 1), (there, 2)):
            within = ("-n", space) if end == there else ()
            for prefix in ("198.51.100.", "2001:db8:5::"):
                nodad = ("nodad",) if ":" in prefix else ()
                mask = "/64" if ":" in prefix else "/24"
                _ip(*within, "addr", "add", f"{prefix}{address}{mask}", "dev", end, *nodad)
            _ip(*within, "link", "set", end, "up")
        yield Interface(here, ("198.51.100.1", "2001:db8:5::1"), ("ip", "netns", "exec", space))
    finally:
        _ip("link", "del", here)
        _ip("netns", "del", space)


def _ip(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["ip", *arguments], capture_output=True)


def test_xdpcount_counts_packets_and_bytes_of_each_port() -> None:
    load_name = "datagrams_at_an_interface"
    with (
        interface() as end,
        started(load_name, *end.addresses, under=end.under) as load,
    ):
        traffic, facts = traced("xdpcount", load, interface=end.name)

    assert sum(packets for packets, _ in facts["ports"].values()) == 211
    for port, (packets, size) in facts["ports"].items():
        seen = one(traffic, protocol="UDP", port=int(port))
        assert (seen["packets"], seen["total_bytes"]) == (packets, size)


def test_xdpcount_counts_by_protocol_and_keeps_one_port_on_request() -> None:
    load_name = "datagrams_at_an_interface"
    with (
        interface() as end,
        started(load_name, *end.addresses, under=end.under) as load,
    ):
        traffic, facts = traced("xdpcount", load, interface=end.name, by="protocol", port=40011)
    packets, size = facts["ports"]["40011"]
    assert traffic.to_dict("records") == [
        {"protocol": "UDP", "packets": packets, "total_bytes": size}
    ]


# --- sockets -------------------------------------------------------------------------------------


def snapshot(**options: Any) -> pd.DataFrame:
    """Return the current result of sockstat; its run ends by itself."""
    found = kernelscope.run("sockstat", duration=60, **options)
    checking.measurements.append(checking.measurement(found.attrs["kernelscope"], found))
    return found  # type: ignore[return-value]


def test_sockstat_shows_each_socket_as_python_has_it() -> None:
    with started("open_sockets") as load:
        facts = load.go()
        sockets = snapshot(pid=load.pid)

    assert len(sockets) == len(facts["sockets"]) == 53
    for wanted in facts["sockets"]:
        seen = one(sockets, inode=wanted["inode"])
        assert {name: seen[name] for name in wanted} == wanted
        assert (seen["pid"], seen["uid"], seen["comm"]) == (load.pid, facts["uid"], "python")


def test_sockstat_shows_what_proc_net_shows() -> None:
    with started("open_sockets") as load:
        load.go()
        sockets = snapshot(pid=load.pid)
        listed = {row for name in ("tcp", "tcp6", "udp", "udp6") for row in proc_net(name)}

    rows = sockets[["local_port", "remote_port", "uid", "inode"]]
    assert {tuple(row) for row in rows.to_numpy().tolist()} <= listed


def proc_net(name: str) -> Iterator[tuple[int, ...]]:
    """Yield the ports, uid and inode of each socket of a file of /proc/net."""
    for line in Path("/proc/net", name).read_text().splitlines()[1:]:
        fields = line.split()
        ports = (int(end.rpartition(":")[2], 16) for end in fields[1:3])
        yield (*ports, int(fields[7]), int(fields[9]))


def test_sockstat_keeps_a_state_and_a_port_on_request() -> None:
    with started("open_sockets") as load:
        facts = load.go()
        listening = snapshot(pid=load.pid, state="listening")
        assert len(listening) == 11
        port = facts["sockets"][0]["local_port"]
        connected = snapshot(pid=load.pid, state="connected", port=port)
        assert len(connected) == 26
        assert snapshot(uid=54321).empty


def test_sockstat_takes_snapshots_until_the_end_on_request() -> None:
    with started("open_sockets") as load:
        load.go()
        sockets = kernelscope.run("sockstat", duration=1, interval=0.25, pid=load.pid)

    assert set(sockets.groupby("inode").size()) & {3, 4, 5}
    assert sockets["inode"].nunique() == 53


def test_sockstat_shows_unix_sockets_on_request(tmp_path: Path) -> None:
    with started("unix_sockets", str(tmp_path)) as load:
        facts = load.go()
        sockets = snapshot(pid=load.pid, family="unix")
        listening = snapshot(pid=load.pid, family="unix", state="listening")

    assert len(sockets) == len(facts["sockets"]) == 19
    for wanted in facts["sockets"]:
        seen = one(sockets, inode=wanted["inode"])
        assert {name: seen[name] for name in wanted} == wanted
        assert (seen["pid"], seen["comm"]) == (load.pid, "python")
        sending = wanted["type"] == "DGRAM" and wanted["waiting"] == 0
        assert sending or seen["send_queue_bytes"] == 0
    assert len(listening) == 5
