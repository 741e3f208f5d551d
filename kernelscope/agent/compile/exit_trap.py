"""Survives C code that calls exit(): clang's back end does, for example on a stack overflow.

The code runs on its own thread. If exit() is called there, an atexit handler notifies the caller
and never returns, so the process continues without that thread.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

_Result = TypeVar("_Result")
_Handler = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_libc = ctypes.CDLL(None)


class ExitedError(Exception):
    """The C code called exit(). The process must end by os._exit: C's exit may hang."""


def call(function: Callable[[], _Result]) -> _Result:
    """Return what `function` returns or raises. Raises ExitedError where it calls exit()."""
    answers: SimpleQueue[tuple[str, Any]] = SimpleQueue()

    def work() -> None:
        try:
            answers.put(("result", function()))
        except BaseException as error:  # it is raised again in the caller's thread
            answers.put(("error", error))

    thread = threading.Thread(target=work, daemon=True)

    def trap(_: int | None) -> None:
        if threading.current_thread() is thread:
            answers.put(("exit", None))
            threading.Event().wait()

    handler, owner = _Handler(trap), ctypes.c_byte()
    _libc.__cxa_atexit(handler, None, ctypes.byref(owner))
    thread.start()
    kind, value = answers.get()
    if kind == "exit":
        _traps.append((handler, owner))
        raise ExitedError
    # Calls the handlers registered for this owner (a no-op on this thread) and forgets them.
    _libc.__cxa_finalize(ctypes.byref(owner))
    if kind == "error":
        raise value
    return value  # type: ignore[no-any-return]


_traps: list[Any] = []  # handlers that C still runs
