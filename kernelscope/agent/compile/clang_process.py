"""Runs clang in its own process: it may crash, exit, hang or swell without harm to the run.

The result comes back as JSON in a memory file, and the fds of maps that only BCC can create through
a socket. What clang wrote before it crashed names the line that it crashed on.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn, Optional

from kernelscope.agent.compile import bpf_object
from kernelscope.agent.compile.bpf_object import Object
from kernelscope.agent.kernel import process

MOST_CPU_S = 120  # an emulated machine needs 60 for the full header
MOST_MEMORY = 3 << 30  # a large program needs 200 MiB
_MOST_WAIT_S = 600.0
_EXITED = 113  # the status of a process in which clang called exit()
_MAPS_PER_MESSAGE = 200  # the kernel takes up to 253 fds (SCM_MAX_FD)

Wait = Callable[[int], None]
"""Waits until an fd is readable; raises to give up."""


@dataclass(frozen=True)
class Outcome:
    """What became of a compilation. obj: None if it failed. ended: how clang's process died."""

    obj: Object | None
    output: str
    ended: str = ""
    header: str = "lean"


def run(work: Callable[[], Object | None], wait: Optional[Wait] = None) -> Outcome:
    """Call `work` in a child process and return its result and what it wrote to fd 2.

    If `wait` raises, the child is killed and the exception passed on.
    """
    result, stderr = os.memfd_create("result"), os.memfd_create("clang")
    alive, child_alive = os.pipe()
    ours, theirs = socket.socketpair()
    try:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _child(work, parent, result, stderr, theirs)
        os.close(child_alive)
        child_alive = -1
        theirs.close()
        try:
            status = _finished(pid, alive, wait or _wait)
        except _HungError:
            return Outcome(None, _text(stderr), f"did not finish within {_MOST_WAIT_S:.0f} s")
        output = _text(stderr)
        if status == 0:
            return Outcome(_object(result, ours), output)
        return Outcome(None, output, "" if status == _EXITED else _ending(status, output))
    finally:
        for fd in (result, stderr, alive, child_alive):
            if fd >= 0:
                os.close(fd)
        ours.close()
        theirs.close()


# --- the child -----------------------------------------------------------------------------------


def _child(
    work: Callable[[], Object | None], parent: int, result: int, stderr: int, maps: socket.socket
) -> NoReturn:
    try:
        process.die_with_parent(parent)
        os.dup2(stderr, 2)
        _limit(resource.RLIMIT_CPU, MOST_CPU_S)
        _limit(resource.RLIMIT_DATA, MOST_MEMORY)
        _trap_exit()
        obj = work()
        if obj is not None:
            _send(obj, result, maps)
        os._exit(0)
    except BaseException:  # the child must never return into its parent's code
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def _limit(kind: int, most: int) -> None:
    with suppress(OSError, ValueError):  # a lower limit is in force already
        resource.setrlimit(kind, (most, most + 10))  # at the hard limit of time SIGKILL comes


_end_now = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: os._exit(_EXITED))


def _trap_exit() -> None:
    """End at once where C code calls exit(), as clang's back end does: other handlers may hang.

    The C library calls the handler first that was registered last.
    """
    ctypes.CDLL(None).__cxa_atexit(_end_now, None, None)


def _send(obj: Object, result: int, maps: socket.socket) -> None:
    names = list(obj.map_fds)
    for start in range(0, len(names), _MAPS_PER_MESSAGE):
        fds = [obj.map_fds[name] for name in names[start : start + _MAPS_PER_MESSAGE]]
        socket.send_fds(maps, [b"."], fds)
    entry = {**bpf_object.dump(obj), "map_fds": names, "timings": obj.timings}
    with os.fdopen(os.dup(result), "w") as file:
        json.dump(entry, file)


# --- the parent ----------------------------------------------------------------------------------


class _HungError(Exception):
    """Clang hangs."""


def _wait(fd: int) -> None:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    until = time.monotonic() + _MOST_WAIT_S
    while not poller.poll(1000.0):
        if time.monotonic() > until:
            raise _HungError


def _finished(pid: int, alive: int, wait: Wait) -> int:
    """Return the child's exit status, as os.waitstatus_to_exitcode does."""
    try:
        wait(alive)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _text(stderr: int) -> str:
    """Return what the child wrote, without colors."""
    data = os.pread(stderr, os.fstat(stderr).st_size, 0)
    return re.sub(r"\x1b\[[0-9;]*m", "", data.decode("utf-8", "replace"))


def _object(result: int, maps: socket.socket) -> Object | None:
    data = os.pread(result, os.fstat(result).st_size, 0)
    if not data:
        return None
    entry = json.loads(data)
    obj = bpf_object.load(entry)
    if obj is None:
        raise OSError("the compiler's result cannot be read")
    obj.cached = False
    obj.timings = entry["timings"]
    names = entry["map_fds"]
    fds: list[int] = []
    while len(fds) < len(names):
        fds += socket.recv_fds(maps, 1, _MAPS_PER_MESSAGE)[1]
    obj.map_fds = dict(zip(names, fds))
    return obj


def _ending(status: int, output: str) -> str:
    if status == -signal.SIGXCPU:
        return f"needed more than {MOST_CPU_S} s of processor time"
    if "out of memory" in output or "bad_alloc" in output:
        return f"needed more than {MOST_MEMORY >> 30} GiB of memory"
    if status < 0:
        known = {number.value: number.name for number in signal.Signals}
        return f"crashed ({known.get(-status, f'signal {-status}')})"
    last = output.strip().splitlines()[-1:] or [f"exit status {status}"]
    return f"failed: {last[0]}"
