"""Known loads for the probes of bpf/network."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from typing import Any

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


def connections() -> dict[str, Any]:
    """17 connections of known bytes over IPv4 and IPv6, 3 refused, and 2 that no route leads to."""
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


def _failure(address: str, port: int) -> list[Any]:
    with socket.socket() as client:
        error = client.connect_ex((address, port))
    return [address, port, errno.errorcode[error]]


def _converse(family: socket.AddressFamily, sent: int, received: int) -> dict[str, Any]:
    with socket.socket(family) as server:
        server.bind((LOOPBACK[family], 0))
        server.listen()
        answer = threading.Thread(target=_answer, args=(server, sent, received))
        answer.start()
        with socket.create_connection(server.getsockname()[:2]) as client:
            local, remote = client.getsockname()[1], client.getpeername()[1]
            client.sendall(b"x" * sent)
            _receive(client, received)
        answer.join()
    address = LOOPBACK[family]
    return {"address": address, "ports": [local, remote], "sent": sent, "received": received}


def _answer(server: socket.socket, expected: int, size: int) -> None:
    accepted, _ = server.accept()
    with accepted:
        _receive(accepted, expected)
        accepted.sendall(b"y" * size)


def _receive(sock: socket.socket, size: int) -> None:
    while size:
        size -= len(sock.recv(size))
