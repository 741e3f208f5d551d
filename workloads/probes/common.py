"""Shared by several loads. A load runs isolated, with only this folder on its path."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from pathlib import Path

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1  # linux/sockios.h, linux/if.h


def enter_new_network() -> None:
    """Move this thread into a new network namespace, which has only lo, and bring that up."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))


def take_name(name: str) -> None:
    """Name this process: what a probe shows as comm."""
    Path("/proc/self/comm").write_text(name)


def tcp_info(sock: socket.socket, offset: int) -> int:
    """Return a number of struct tcp_info (include/uapi/linux/tcp.h)."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    return int(struct.unpack_from("I", info, offset)[0])
