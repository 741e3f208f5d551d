"""What a run has read and the notebook has not yet taken: bounded, and sent without ever blocking.

A run must keep draining its ring buffers while the notebook is busy. Frames wait here; what no
longer fits is refused, so that the caller can leave it in the kernel or count it as lost.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Any, Union

from kernelscope.protocol.frames import encode_header

_PIECES = 64  # a call's iovec; the kernel allows 1,024, a socket's buffer never takes that many

_SOCKET_BYTES = 2 << 20  # what a ring gives at a time fits in
_SO_SNDBUFFORCE = 32  # include/uapi/asm-generic/socket.h; past the system's limit

Payload = Union[bytes, bytearray, memoryview]


def widen(sock: socket.socket) -> None:
    """Have the socket take a whole batch, so that one that stands in a ring need not be copied."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SOCKET_BYTES)
    except OSError:  # not root: as much as the system lets anybody have
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)


class Spool:
    """A queue of frames in front of a stream socket, which it makes non-blocking.

    limit: bytes; the queue is `full` from there on.
    bytes: what waits now.
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
        """Queue one frame, uncopied; False, and nothing queued, where it does not fit.

        The payload must not change afterwards. always: queue it even so (for the few small frames
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
        """Send what the socket takes of a frame now, and queue a copy of the rest, always.

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
        """Send what the socket takes now; True when nothing waits any more.

        Raises BrokenPipeError or ConnectionResetError when the reader is gone.
        """
        while self._pieces:
            sent = self._send(list(islice(self._pieces, _PIECES)))
            if not sent:
                return False
            self._drop(sent)
        return True

    def drain(self, timeout_s: float) -> bool:
        """Wait until all is sent; False when the reader took nothing for `timeout_s` seconds.

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
