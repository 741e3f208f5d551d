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

from kernelscope.agent.protocol import encode_header

_PIECES = 64  # a call's iovec; the kernel allows 1,024, a socket's buffer never takes that many

Payload = Union[bytes, bytearray, memoryview]


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

    def flush(self) -> bool:
        """Send what the socket takes now; True when nothing waits any more.

        Raises BrokenPipeError or ConnectionResetError when the reader is gone.
        """
        while self._pieces:
            try:
                sent = self.sock.sendmsg(
                    list(islice(self._pieces, _PIECES)), [], socket.MSG_NOSIGNAL
                )
            except (BlockingIOError, InterruptedError):
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
