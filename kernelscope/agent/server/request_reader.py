"""Requests from the control socket: lines, each with the socket that came with it.

The kernel delivers a message's fds with its first byte, so a complete line has its socket. A line
without one cannot be answered and is dropped; an fd that is no Unix stream socket is closed.
Nothing that the client sends is kept longer than the line that it belongs to.
"""

from __future__ import annotations

import array
import os
import socket
from typing import Optional

from kernelscope.protocol.frames import MAX_LINE

_MOST_FDS = 8  # per message; the kernel closes the others
_CHUNK = 1 << 16

Request = tuple[bytes, socket.socket]


class RequestReader:
    """The reading end of the control socket."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._pending = bytearray()
        self._sockets: list[Optional[socket.socket]] = []

    def receive(self) -> list[Request] | None:
        """Return the complete requests that arrived; None at the end, or after an endless line."""
        try:
            data, ancillary, _, _ = self._control.recvmsg(
                _CHUNK, socket.CMSG_SPACE(_MOST_FDS * 4), socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            return None
        self._sockets += [_stream_socket(fd) for fd in _fds(ancillary)]
        self._pending += data
        if not data or (len(self._pending) > MAX_LINE and b"\n" not in self._pending):
            return None
        *lines, rest = self._pending.split(b"\n")
        self._pending = rest
        requests = [self._with_socket(bytes(line)) for line in lines if line]
        self._forget(keep=1 if rest else 0)
        return [request for request in requests if request is not None]

    def close(self) -> None:
        """Close the control socket, and the sockets that wait."""
        self._forget(keep=0)
        self._control.close()

    def _with_socket(self, line: bytes) -> Request | None:
        sock = self._sockets.pop(0) if self._sockets else None
        return None if sock is None else (line, sock)

    def _forget(self, keep: int) -> None:
        while len(self._sockets) > keep:
            sock = self._sockets.pop(0)
            if sock is not None:
                sock.close()


def _fds(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) // found.itemsize * found.itemsize])
    return found.tolist()


def _stream_socket(fd: int) -> socket.socket | None:
    try:
        sock = socket.socket(fileno=fd)
    except OSError:  # a file, a pipe, a device
        os.close(fd)
        return None
    if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
        sock.close()
        return None
    return sock
