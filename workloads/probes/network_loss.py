"""Known loads that lose packets: a filter drops everything that a socket receives.

The other end then sends again, as it would after a loss on the way.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import time
from contextlib import ExitStack
from typing import Any

from workloads.probes.common import tcp_info

HERE = "127.0.0.1"
ATTACH, DETACH = 26, 27  # SO_ATTACH_FILTER, SO_DETACH_FILTER: include/uapi/asm-generic/socket.h
_DROP_ALL = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0))  # BPF_RET | BPF_K, 0


def deafen(sock: socket.socket) -> None:
    """Make the kernel drop all packets for a socket."""
    program = struct.pack("@HP", 1, ctypes.addressof(_DROP_ALL))
    sock.setsockopt(socket.SOL_SOCKET, ATTACH, program)


def retransmits(sock: socket.socket) -> int:
    """Return how many packets a connection has sent again."""
    return tcp_info(sock, 100)


def wait_for_loss(sockets: list[socket.socket]) -> None:
    """Wait until every one of them has sent something again."""
    while not all(retransmits(sock) for sock in sockets):
        time.sleep(0.01)


def lost_packets() -> dict[str, Any]:
    """7 connections whose data is lost at first, a deaf listener, a deaf client, no listener."""
    with ExitStack() as stack:
        server = _listener(stack)
        port = server.getsockname()[1]
        pairs = []
        for number in range(7):
            client = stack.enter_context(socket.create_connection((HERE, port)))
            accepted = stack.enter_context(server.accept()[0])
            deafen(accepted)
            client.sendall(b"x" * (101 + number))
            pairs.append((client, accepted))
        unheard = _listener(stack)
        deafen(unheard)
        callers = [_calling(stack, unheard, deaf=False), _calling(stack, server, deaf=True)]
        wait_for_loss([client for client, _ in pairs])
        for _, accepted in pairs:
            accepted.setsockopt(socket.SOL_SOCKET, DETACH, 0)
        for _, accepted in pairs:
            accepted.recv(1)
        wait_for_loss(callers)
        return {
            "refused": _refused(),
            "data": [[c.getsockname()[1], port, retransmits(c)] for c, _ in pairs],
            "calls": [
                [client.getsockname()[1], to.getsockname()[1], retransmits(client)]
                for client, to in zip(callers, (unheard, server), strict=True)
            ],
        }


def _listener(stack: ExitStack) -> socket.socket:
    server = stack.enter_context(socket.socket())
    server.bind((HERE, 0))
    server.listen()
    return server


def _refused() -> int:
    with socket.socket() as vacant, socket.socket() as client:
        vacant.bind((HERE, 0))
        port: int = vacant.getsockname()[1]
        assert client.connect_ex((HERE, port)) == errno.ECONNREFUSED
    return port


def _calling(stack: ExitStack, server: socket.socket, *, deaf: bool) -> socket.socket:
    client = stack.enter_context(socket.socket())
    client.setblocking(False)
    if deaf:
        deafen(client)
    client.connect_ex(server.getsockname())
    return client
