"""Frames: how client and agent send messages and raw bytes over a stream socket.

A *frame* is one line of JSON, then as many raw bytes as its "bytes" key says (none without it).
The line is at most `MAX_LINE` long. Every request travels over the control socket together with
one end of a fresh socket pair (SCM_RIGHTS); the agent forks for it, and the child answers on that
socket alone, so that a child that dies can corrupt no other run's stream.

Requests   hello · run · check · list · doctor
A run      [loaded ·] attached · batch* · map* · status* · stacks · receipt · end, or error · end
To a run   start (if the program holds) · until · stop · snapshot
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kernelscope.errors import AgentDiedError
from kernelscope.protocol.buffer_pool import BufferPool
from kernelscope.protocol.validation import integer, refuse

VERSION = 1
MAX_LINE = 4 << 20
MAX_PAYLOAD = 1 << 30


@dataclass(frozen=True)
class Frame:
    """One message: its JSON header and its raw payload."""

    header: dict[str, Any]
    payload: bytes | bytearray | memoryview = b""

    @property
    def type(self) -> str:
        """The frame's "type" key."""
        return str(self.header.get("type", ""))


def encode_header(header: Mapping[str, Any], payload_bytes: int = 0) -> bytes:
    """Return the header's line; `payload_bytes` raw bytes must follow it."""
    if payload_bytes:
        header = {**header, "bytes": payload_bytes}
    return json.dumps(header, separators=(",", ":")).encode() + b"\n"


def decode_header(line: bytes) -> tuple[dict[str, Any], int]:
    """Return a line's header and how many payload bytes follow. Raises AgentRefusedError."""
    try:
        header = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise refuse("frame", f"not JSON ({error})") from None
    if not isinstance(header, dict):
        raise refuse("frame", "not a JSON object")
    size = integer(header.pop("bytes", 0), "frame.bytes", 0, MAX_PAYLOAD)
    return header, size


class FrameReader:
    """Reads frames from a stream socket; releases the interpreter's lock while it blocks."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._pending = bytearray()
        self._pool = BufferPool()

    def read(self) -> Frame | None:
        """Return the next frame, or None at the stream's end.

        Raises AgentDiedError if the stream ends inside a frame, AgentRefusedError if a line is
        not a frame's.
        """
        line = self._line()
        if line is None:
            self._pool = BufferPool()  # unreferenced memory is freed
            return None
        header, size = decode_header(line)
        return Frame(header, self._payload(size) if size else b"")

    def _line(self) -> bytes | None:
        searched = 0
        while True:
            end = self._pending.find(b"\n", searched)
            if end >= 0:
                line = bytes(self._pending[:end])
                del self._pending[: end + 1]
                return line
            searched = len(self._pending)
            if searched > MAX_LINE:
                raise refuse("frame", f"a line of more than {MAX_LINE} bytes")
            chunk = self.sock.recv(1 << 16)
            if not chunk:
                if self._pending:
                    raise AgentDiedError("the stream ended inside a message")
                return None
            self._pending += chunk

    def _payload(self, size: int) -> bytearray | memoryview:
        payload = self._pool.take(size)
        have = min(size, len(self._pending))
        payload[:have] = self._pending[:have]
        del self._pending[:have]
        view = memoryview(payload)
        while have < size:
            # MSG_WAITALL: each return would wait for the interpreter's lock.
            count = self.sock.recv_into(view[have:], 0, socket.MSG_WAITALL)
            if not count:
                raise AgentDiedError("the stream ended inside a message")
            have += count
        return payload


def send_frame(
    sock: socket.socket, header: Mapping[str, Any], payload: bytes | memoryview = b""
) -> None:
    """Send one frame, blocking until the socket took it all."""
    sock.sendall(encode_header(header, len(payload)))
    if payload:
        sock.sendall(payload)
