"""Known loads of the C library's resolver; no name server is asked."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import time
from typing import Any

from workloads.probes.common import take_name

LIBC = ctypes.CDLL(None)


def lookups() -> dict[str, Any]:
    """31 lookups that succeed, 7 that fail, and 3 by each of the older functions."""
    take_name("resolver")
    began = time.monotonic()
    for number in range(31):
        socket.getaddrinfo(f"127.0.0.{number}", 8000 + number)
    for number in range(7):
        with contextlib.suppress(socket.gaierror):
            socket.getaddrinfo(f"no-{number}.invalid", None, flags=socket.AI_NUMERICHOST)
    for _ in range(3):
        LIBC.gethostbyname(b"127.0.0.1")
        LIBC.gethostbyname2(b"127.0.0.2", socket.AF_INET)
    return {"elapsed_ms": (time.monotonic() - began) * 1000}
