"""Shared by several loads. A load runs isolated, with only this folder on its path."""

from __future__ import annotations

import socket
import struct
from pathlib import Path


def take_name(name: str) -> None:
    """Name this process: what a probe shows as comm."""
    Path("/proc/self/comm").write_text(name)


def tcp_info(sock: socket.socket, offset: int) -> int:
    """Return a number of struct tcp_info (include/uapi/linux/tcp.h)."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    return int(struct.unpack_from("I", info, offset)[0])
