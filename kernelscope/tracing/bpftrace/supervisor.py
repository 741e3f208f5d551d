"""Runs bpftrace, as root, and ends it when the notebook ends: a program of its own.

Standard input carries, from the client: one line of JSON ({"command": [...], "script": text,
"limit_s": number}), then a line "stop" (end with the last data) or "kill". Its end, which the
kernel brings about when the client's process is gone in whatever way, counts as "kill". The script
reaches bpftrace through a file in memory, so nothing of it is on a disk or in a list of processes.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time

_PR_SET_PDEATHSIG = 1
_GRACE_S = 60  # to detach and print its maps after "stop"


def main() -> int:
    """Run bpftrace and return its exit status."""
    data = b""
    while b"\n" not in data:
        part = os.read(0, 1 << 16)
        if not part:
            return 1
        data += part
    line, _, rest = data.partition(b"\n")
    request = json.loads(line)
    script = os.memfd_create("script.bt")
    os.write(script, request["script"].encode("utf-8", "surrogatepass"))
    # A session of its own: the terminal's Ctrl-C goes to the client alone, which sends "stop".
    child = subprocess.Popen(
        [*request["command"], f"/proc/self/fd/{script}"],
        stdin=subprocess.DEVNULL,
        pass_fds=(script,),
        start_new_session=True,
        preexec_fn=_end_with_parent,
    )
    try:
        return _watch(child, rest, time.monotonic() + request["limit_s"])
    finally:
        _signal(child, signal.SIGKILL)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _watch(child: subprocess.Popen[bytes], data: bytes, deadline: float) -> int:
    """Wait for the child; pass the client's wishes on. Return the exit status."""
    ended = os.pidfd_open(child.pid)
    stopping = False
    inputs = [0, ended]
    while child.poll() is None:
        if b"kill" in data or time.monotonic() >= deadline:
            if b"kill" not in data:
                sys.stderr.write(f"ERROR: it did not end in {_GRACE_S} s and was killed\n")
            _signal(child, signal.SIGKILL)
            child.wait()
            break
        if b"stop" in data and not stopping:
            stopping, data = True, b""
            deadline = min(deadline, time.monotonic() + _GRACE_S)
            _signal(child, signal.SIGINT)
        ready = select.select(inputs, [], [], max(0.0, deadline - time.monotonic()))[0]
        if 0 in ready:
            part = os.read(0, 1 << 12)
            data += part or b"kill"
    status = child.returncode
    return status if status >= 0 else 128 - status


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)


if __name__ == "__main__":
    sys.exit(main())
