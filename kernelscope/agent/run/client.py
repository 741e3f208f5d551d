"""The client of one run: what waits to be sent to it, and the commands that it sends."""

from __future__ import annotations

import select
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from kernelscope.agent.run.send_queue import SendQueue, enlarge_buffer
from kernelscope.protocol.frames import decode_header
from kernelscope.protocol.validation import integer

FLUSH_TIMEOUT_S = 60.0
_LONGEST_COMMAND = 4096


class Client:
    """The socket of one run. sock: not yet non-blocking; limit: of the send queue, in bytes.

    stopped_by: "client" once it is gone, "stopped" once it stopped the run; else "".
    started: the run may attach. reading_due: it wants the maps read now.
    until_ns: when the run is to end, on the monotonic clock, if it was set.
    woken_by_ring: the last `listen` ended by a ring or by its timeout.
    """

    def __init__(self, sock: socket.socket, limit: int, *, started: bool) -> None:
        enlarge_buffer(sock)
        self.sock = sock
        self.queue = SendQueue(sock, limit)
        self.stopped_by = ""
        self.started = started
        self.reading_due = False
        self.until_ns: int | None = None
        self.woken_by_ring = True
        self._commands = bytearray()

    def send(self, header: Mapping[str, Any]) -> None:
        """Queue one small frame, whether the queue is full or not."""
        self.queue.push(header, always=True)

    def require(self) -> None:
        """Raise ConnectionResetError if the client is gone."""
        poller = select.poll()
        poller.register(self.sock, 0)
        if poller.poll(0):
            raise ConnectionResetError

    def listen(self, timeout_s: float, rings: Sequence[int] = ()) -> bool:
        """Wait for a command, or for `rings` to be readable; return False if the run is to end."""
        poller = select.poll()
        events = select.POLLIN | (select.POLLOUT if self.queue.bytes else 0)
        poller.register(self.sock, events)
        for ring in rings:
            poller.register(ring, select.POLLIN)
        found = poller.poll(timeout_s * 1000)
        self.woken_by_ring = all(fd in rings for fd, _ in found)
        for fd, event in found:
            if fd in rings:
                continue
            if event & (select.POLLHUP | select.POLLERR) and not event & select.POLLIN:
                self.stopped_by = "client"
            elif event & select.POLLIN:
                self._take_commands()
        return not self.stopped_by

    def _take_commands(self) -> None:
        try:
            data = self.sock.recv(_LONGEST_COMMAND, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self.stopped_by = "client"
            return
        self._commands += data
        while b"\n" in self._commands:
            line, _, rest = bytes(self._commands).partition(b"\n")
            self._commands = bytearray(rest)
            self._obey(decode_header(line)[0])
        if len(self._commands) > _LONGEST_COMMAND:
            self.stopped_by = "client"

    def _obey(self, command: Mapping[str, Any]) -> None:
        kind = command.get("type")
        if kind == "start":
            self.started = True
        elif kind == "snapshot":
            self.reading_due = True
        elif kind == "until":
            self.until_ns = integer(command.get("at_ns"), "until.at_ns", 0, 1 << 63)
        elif kind == "stop":
            self.stopped_by = "stopped"

    def make_room(self) -> None:
        """Let a slow client catch up: what is queued now cannot be lost any more."""
        if self.queue.full:
            self.flush_all()
        else:
            self.queue.flush()

    def flush_all(self) -> None:
        """Wait for the client to take everything; give up if it takes nothing at all."""
        if not self.queue.drain(FLUSH_TIMEOUT_S):
            raise TimeoutError(f"the client took nothing for {FLUSH_TIMEOUT_S:.0f} s")
