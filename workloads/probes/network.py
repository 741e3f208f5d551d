"""Known loads for the probes of bpf/network."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from typing import Any

from workloads.probes.common import take_name, tcp_info

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


def connections() -> dict[str, Any]:
    """17 connections of known bytes over IPv4 and IPv6, 3 refused, and 2 without a route."""
    refused = []
    for _ in range(3):
        with socket.socket() as vacant:
            vacant.bind((LOOPBACK[socket.AF_INET], 0))
            port = vacant.getsockname()[1]
        with socket.socket() as client, contextlib.suppress(ConnectionRefusedError):
            client.connect((LOOPBACK[socket.AF_INET], port))
        refused.append(port)
    unreachable = [_failure("255.255.255.255", port) for port in (7, 9)]
    made = []
    for number in range(17):
        family = (socket.AF_INET, socket.AF_INET6)[number % 2]
        made.append(_converse(family, sent=1009 * number, received=53 * number))
    return {"made": made, "refused": refused, "unreachable": unreachable}


def connections_that_wait() -> dict[str, Any]:
    """19 connections that wait in a listener's queue for 20 ms before it accepts the first."""
    take_name("waiter")
    with socket.socket() as server, contextlib.ExitStack() as stack:
        server.bind((LOOPBACK[socket.AF_INET], 0))
        server.listen(61)
        address = server.getsockname()
        clients = [stack.enter_context(socket.create_connection(address)) for _ in range(19)]
        slept = time.monotonic()
        time.sleep(0.02)
        slept = time.monotonic() - slept
        accepted = [stack.enter_context(server.accept()[0]) for _ in clients]
        return {
            "port": address[1],
            "slept_ms": slept * 1000,
            "fds": [sock.fileno() for sock in accepted],
            "ports": [sock.getpeername()[1] for sock in accepted],
        }


def round_trips() -> dict[str, Any]:
    """101 questions and answers over one connection, and then one message more to the client."""
    with socket.socket() as server:
        server.bind((LOOPBACK[socket.AF_INET], 0))
        server.listen()
        with socket.create_connection(server.getsockname()) as client:
            accepted, _ = server.accept()
            with accepted:
                for _ in range(101):
                    for sender, receiver in ((client, accepted), (accepted, client)):
                        sender.sendall(b"x")
                        _receive(receiver, 1)
                names = {"rtt_us": 68, "variation_us": 72, "packets": 140, "lowest_us": 148}
                facts = {name: tcp_info(client, offset) for name, offset in names.items()}
                facts["port"] = client.getsockname()[1]
                accepted.sendall(b"x")
                _receive(client, 1)
                client.close()  # first: it gets no further packet while established
    return facts


def binds() -> dict[str, Any]:
    """23 binds of TCP and UDP sockets with all mixtures of options, and 3 of a port in use."""
    take_name("binder")
    made = []
    for number in range(23):
        family = (socket.AF_INET, socket.AF_INET6)[number // 2 % 2]
        options = {socket.SO_REUSEADDR: bool(number & 4), socket.SO_REUSEPORT: bool(number & 8)}
        kind = (socket.SOCK_STREAM, socket.SOCK_DGRAM)[number % 2]
        with socket.socket(family, kind) as bound:
            for option, value in options.items():
                bound.setsockopt(socket.SOL_SOCKET, option, value)
            bound.bind((LOOPBACK[family], 0))
            port = bound.getsockname()[1]
        protocol = ("TCP", "UDP")[number % 2]
        made.append([protocol, LOOPBACK[family], port, *options.values()])
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        taken = holder.getsockname()[1]
        for _ in range(3):
            with socket.socket() as late, contextlib.suppress(OSError):
                late.bind(("127.0.0.1", taken))
    return {"made": made, "taken": taken}


def two_ports(port: str) -> dict[str, Any]:
    """One connection to that port and one to another, with a byte each."""
    for chosen in (int(port), 0):
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((LOOPBACK[socket.AF_INET], chosen))
            server.listen()
            with socket.create_connection(server.getsockname()) as client:
                accepted, _ = server.accept()
                with accepted:
                    client.sendall(b"x")
                    _receive(accepted, 1)
    return {}


def _failure(address: str, port: int) -> list[Any]:
    with socket.socket() as client:
        error = client.connect_ex((address, port))
    return [address, port, errno.errorcode[error]]


def _converse(family: socket.AddressFamily, sent: int, received: int) -> dict[str, Any]:
    with socket.socket(family) as server:
        server.bind((LOOPBACK[family], 0))
        server.listen()
        # Named as the process: since Python 3.14 the kernel sees the names of threads.
        answer = threading.Thread(target=_answer, args=(server, sent, received), name="python")
        answer.start()
        began = time.monotonic()
        with socket.create_connection(server.getsockname()[:2]) as client:
            took = time.monotonic() - began
            local, remote = client.getsockname()[1], client.getpeername()[1]
            client.sendall(b"x" * sent)
            _receive(client, received)
        answer.join()
    return {
        "address": LOOPBACK[family],
        "ports": [local, remote],
        "connect_ms": took * 1000,
        "sent": sent,
        "received": received,
    }


def _answer(server: socket.socket, expected: int, size: int) -> None:
    accepted, _ = server.accept()
    with accepted:
        _receive(accepted, expected)
        accepted.sendall(b"y" * size)
        accepted.recv(1)  # the client closes first


def _receive(sock: socket.socket, size: int) -> None:
    while size:
        size -= len(sock.recv(size))
