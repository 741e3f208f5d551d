"""Known loads of packets: datagrams that are sent, read late, queued, dropped or only counted."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from workloads.probes.common import enter_new_network

HERE = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
FAMILIES = tuple(HERE)


def udp(family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """Return a socket on a new port."""
    own = socket.socket(family, socket.SOCK_DGRAM)
    own.bind((HERE[family], 0))
    return own


def datagrams() -> dict[str, Any]:
    """223 datagrams: of 31 to 97 bytes from connected sockets, the rest from unconnected ones."""
    totals: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        readers = [stack.enter_context(udp(family)) for family in FAMILIES]
        callers = [stack.enter_context(udp(family)) for family in FAMILIES]
        callers[0].connect(readers[0].getsockname())
        for number in range(223):
            reader, caller = readers[number % 2], callers[number % 2]
            data = b"x" * (31 + number % 67)
            if number % 2:
                caller.sendto(data, reader.getsockname())
            else:
                caller.send(data)
            reader.recv(1, socket.MSG_PEEK)
            _add(totals, caller, "sent", len(data))
            _add(totals, reader, "received", len(reader.recv(4096)))
        remote = readers[0].getsockname()[1]
    return {"totals": list(totals.values()), "connected_to": remote}


def _add(totals: dict[str, dict[str, Any]], sock: socket.socket, what: str, size: int) -> None:
    address, port = sock.getsockname()[:2]
    row = totals.setdefault(f"{address} {port}", {"local_address": address, "local_port": port})
    for name, more in ((f"{what}_packets", 1), (f"{what}_bytes", size)):
        row[name] = row.get(name, 0) + more


def datagrams_for_nobody() -> dict[str, Any]:
    """227 datagrams to ports without a socket, in an otherwise empty network namespace."""
    enter_new_network()
    before = no_ports()
    for number in range(227):
        family = FAMILIES[number % 3 == 0]
        with socket.socket(family, socket.SOCK_DGRAM) as caller:
            caller.sendto(b"x" * number, (HERE[family], 9))
    return {"no_ports": [now - then for now, then in zip(no_ports(), before, strict=True)]}


def no_ports() -> tuple[int, int]:
    """Return the kernel's count of datagrams without a socket, over IPv4 and IPv6."""
    lines = Path("/proc/net/snmp").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp:"))
    v6 = dict(line.split() for line in Path("/proc/net/snmp6").read_text().splitlines())
    return int(values[names.index("NoPorts")]), int(v6["Udp6NoPorts"])


def queued_datagrams(rate_bytes: str = "0") -> dict[str, Any]:
    """229 datagrams through a queue of lo, optionally limited to a rate."""
    enter_new_network()
    # A limit below lo's MTU: a queue with room for a whole packet is bypassed while empty.
    kind = ["bfifo", "limit", "60000"]
    if int(rate_bytes):
        kind = ["tbf", "rate", f"{rate_bytes}bps", "burst", "1600", "limit", "1000000"]
    made = subprocess.run(["tc", "qdisc", "add", "dev", "lo", "root", *kind], capture_output=True)
    if made.returncode:
        return {"refused": made.stderr.decode()}
    with udp() as reader, udp() as caller:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        began = time.monotonic()
        for _ in range(229):
            caller.sendto(b"x" * 109, reader.getsockname())
        sending_ms = (time.monotonic() - began) * 1e3
        received = sum(len(reader.recv(4096)) == 109 for _ in range(229))
    command = ["tc", "-s", "-j", "qdisc", "show", "dev", "lo"]
    shown = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return {"received": received, "counted": shown[0]["packets"], "sending_ms": sending_ms}


def late_reads() -> dict[str, Any]:
    """233 datagrams that are read at once, except 7 that wait together for 50 ms."""
    with udp() as reader, udp() as caller:
        for number in range(233):
            caller.sendto(b"x" * 101, reader.getsockname())
            if number == 6:
                time.sleep(0.05)
            for _ in range(number > 6 or 7 * (number == 6)):
                reader.recv(4096)
        return {"port": reader.getsockname()[1]}


def late_stream() -> dict[str, Any]:
    """11 messages over TCP, each read 5 ms after it was sent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with (
            socket.create_connection(("127.0.0.1", port)) as client,
            server.accept()[0] as accepted,
        ):
            for _ in range(11):
                client.sendall(b"x" * 101)
                time.sleep(0.005)
                accepted.recv(4096)
    return {"port": port}


def datagrams_at_an_interface(address: str = "127.0.0.1", address6: str = "::1") -> dict[str, Any]:
    """211 datagrams of known bytes over IPv4 and IPv6 to five ports, which need no listener."""
    counts: dict[str, list[int]] = {}
    for number in range(211):
        family = FAMILIES[number % 2]
        port = 40009 + number % 5
        with socket.socket(family, socket.SOCK_DGRAM) as caller:
            caller.sendto(b"x" * (101 + number), ((address, address6)[number % 2], port))
        packets, size = counts.get(str(port), [0, 0])
        header = 14 + (20, 40)[number % 2] + 8
        counts[str(port)] = [packets + 1, size + header + 101 + number]
    return {"ports": counts}


kept: list[socket.socket] = []  # open until the process ends


def open_sockets() -> dict[str, Any]:
    """53 sockets: 11 that listen, 13 connections with both ends, 16 of UDP; some with data."""
    found = []
    for number in range(11):
        family = FAMILIES[number % 2]
        server = socket.socket(family)
        server.bind((HERE[family], 0))
        server.listen(17)
        found.append(_kept(server, "LISTEN", 0, 17))
    server = kept[0]
    for number in range(13):
        client = socket.create_connection(server.getsockname())
        accepted = server.accept()[0]
        client.sendall(b"x" * 101 * number)
        _wait_for(accepted, 101 * number)
        found.append(_kept(client, "ESTABLISHED", 0, 0))
        found.append(_kept(accepted, "ESTABLISHED", 101 * number, 0))
    for number in range(16):
        own = udp(FAMILIES[number % 2])
        if number % 3 == 0:
            own.connect(own.getsockname())
        found.append(_kept(own, "CLOSE" if number % 3 else "ESTABLISHED", 0, 0))
    return {"sockets": found, "uid": os.getuid()}


def _wait_for(sock: socket.socket, size: int) -> None:
    while size and len(sock.recv(1 << 16, socket.MSG_PEEK)) < size:
        time.sleep(0.001)


def _kept(sock: socket.socket, state: str, received: int, sent: int) -> dict[str, Any]:
    kept.append(sock)
    connected = state == "ESTABLISHED"
    return {
        "state": state,
        "local_port": sock.getsockname()[1],
        "local_address": sock.getsockname()[0],
        "remote_port": sock.getpeername()[1] if connected else 0,
        "inode": os.fstat(sock.fileno()).st_ino,
        "receive_queue_bytes": received,
        "send_queue_bytes": sent,
        "protocol": "TCP" if sock.type == socket.SOCK_STREAM else "UDP",
    }


def unix_sockets(folder: str) -> dict[str, Any]:
    """19 Unix domain sockets: some with a path, some listen, some with messages that wait."""
    found = []
    for number in range(5):
        name = (f"{folder}/socket-{number}", f"\0load-{os.getpid()}-{number}")[number % 2]
        server = socket.socket(socket.AF_UNIX)
        server.bind(name)
        server.listen()
        found.append(_of_unix(server, "STREAM", "LISTEN", name, 0))
    for number in range(7):
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for _ in range(number):
            ends[0].send(b"x" * 101)
        found += [
            _of_unix(end, "DGRAM", "ESTABLISHED", "", waiting)
            for end, waiting in zip(ends, (0, number), strict=True)
        ]
    return {"sockets": found}


def _of_unix(sock: socket.socket, kind: str, state: str, name: str, waiting: int) -> dict[str, Any]:
    kept.append(sock)
    inode = os.fstat(sock.fileno()).st_ino
    path = name.replace("\0", "@")
    return {"type": kind, "state": state, "path": path, "waiting": waiting, "inode": inode}
