"""Frames that wait for the client to take them: bounded, and sent without ever blocking.

A run must keep draining its ring buffers while the notebook is busy. Frames wait here; a frame
that does not fit is not queued, so that the caller can leave it in the kernel or count it as lost.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Any, Union

from kernelscope.protocol.frames import encode_header

_PIECES = 64  # per call; the kernel allows 1,024, a socket's buffer never takes that many

_SOCKET_BYTES = 2 << 20  # one drain of a ring fits
_SO_SNDBUFFORCE = 32  # include/uapi/asm-generic/socket.h; beyond the system's limit

Payload = Union[bytes, bytearray, memoryview]


def enlarge_buffer(sock: socket.socket) -> None:
    """Let the socket take a whole batch, so that a batch in a ring need not be copied."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SOCKET_BYTES)
    except OSError:  # not root: as much as the system allows every user
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)


class SendQueue:
    """A queue of frames in front of a stream socket, which it makes non-blocking.

    limit: bytes; the queue is `full` from there on.
    bytes: how many wait now.
    """

    def __init__(self, sock: socket.socket, limit: int) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.limit = limit
        self.bytes = 0
        self._pieces: deque[memoryview] = deque()

    @property
    def full(self) -> bool:
        """Whether the queue has reached its limit."""
        return self.bytes >= self.limit

    def push(
        self, header: Mapping[str, Any], payload: Payload = b"", *, always: bool = False
    ) -> bool:
        """Queue one frame without a copy; return False, with nothing queued, if it does not fit.

        The payload must not change afterwards. always: queue it anyway (for the few small frames
        that a run cannot end without).
        """
        size = len(payload)
        line = encode_header(header, size)
        if not always and self.bytes + len(line) + size > self.limit:
            return False
        self._pieces.append(memoryview(line))
        if size:
            self._pieces.append(memoryview(payload))
        self.bytes += len(line) + size
        return True

    def pass_on(self, header: Mapping[str, Any], payload: memoryview) -> None:
        """Send as much of a frame as the socket takes now, and queue a copy of the rest, always.

        The payload may change afterwards. Raises as `flush` does.
        """
        line = encode_header(header, len(payload))
        sent = self._send([line, payload]) if self.flush() else 0
        if sent < len(line):
            self._queue(line[sent:])
        self._queue(bytes(payload[max(sent - len(line), 0) :]))

    def _queue(self, piece: Payload) -> None:
        if piece:
            self._pieces.append(memoryview(piece))
            self.bytes += len(piece)

    def _send(self, pieces: list[Any]) -> int:
        try:
            return self.sock.sendmsg(pieces, [], socket.MSG_NOSIGNAL)
        except (BlockingIOError, InterruptedError):
            return 0

    def flush(self) -> bool:
        """Send as much as the socket takes now; return whether the queue is empty.

        Raises BrokenPipeError or ConnectionResetError when the reader is gone.
        """
        while self._pieces:
            sent = self._send(list(islice(self._pieces, _PIECES)))
            if not sent:
                return False
            self._drop(sent)
        return True

    def drain(self, timeout_s: float) -> bool:
        """Wait until everything is sent; return False if the reader took nothing for `timeout_s`.

        Raises BrokenPipeError or ConnectionResetError when the reader is gone.
        """
        poller = select.poll()
        poller.register(self.sock, select.POLLOUT)
        while not self.flush():
            if not poller.poll(timeout_s * 1000):
                return False
        return True

    def _drop(self, sent: int) -> None:
        self.bytes -= sent
        while sent:
            piece = self._pieces[0]
            if sent < len(piece):
                self._pieces[0] = piece[sent:]
                return
            sent -= len(piece)
            self._pieces.popleft()
