"""The steps of test_runs.py that run in the agent's Python; results are plain JSON."""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kernelscope.agent.kernel import process
from kernelscope.agent.run import run
from kernelscope.agent.server import policy, server
from kernelscope.agent.server.context import Context
from kernelscope.errors import KernelScopeError
from kernelscope.protocol.frames import encode_header
from kernelscope.protocol.program import Program
from kernelscope.tracing.agent_client import Agent, Channel

_SOURCE = """
BPF_HASH(calls, u32);
TRACEPOINT_PROBE(syscalls, sys_enter_getpgid) { calls.increment(0); return 0; }
"""


def _receipt(channel: Channel) -> dict[str, Any]:
    return next(frame.header for frame in channel.frames() if frame.type == "receipt")


def run_source(source: str) -> dict[str, Any]:
    """Run a program for a moment and return its receipt."""
    with Agent.start() as agent:
        return _receipt(agent.run(Program("test", source, duration_ns=50_000_000)))


def age_of_newest_event() -> float:
    """Return how many seconds ago the newest event of a run was, by its times and clocks."""
    source = """
        BPF_HASH(latest, u32, u64);
        TRACEPOINT_PROBE(syscalls, sys_enter_getpgid) {
            u32 key = 0; u64 now = bpf_ktime_get_ns();
            latest.update(&key, &now);
            return 0;
        }"""
    with Agent.start() as agent:
        channel = agent.run(Program("test", source))
        for frame in channel.frames():
            if frame.type == "attached":
                clock, began_ns = frame.header["clock"], frame.header["began_ns"]
                os.getpgid(0)
                wall_ns = time.time_ns()
                channel.stop()
            elif frame.type == "map":
                event_ns = struct.unpack_from("=Q", frame.payload, 4)[0]
                read_ns = frame.header["at_ns"]
    assert began_ns < event_ns < read_ns
    return (wall_ns - clock["realtime_ns"] + clock["monotonic_ns"] - event_ns) / 1e9


def under_policy(limits: dict[str, Any], duration_ns: int) -> dict[str, Any]:
    """Run a program in a server that is restricted by a policy; return its receipt."""
    with served(limits) as server_socket:
        return _receipt(_asked(server_socket, Program("test", _SOURCE, duration_ns=duration_ns)))


@contextmanager
def served(limits: dict[str, Any], user: int = 0, hold_s: float | None = None) -> Iterator[Any]:
    """Serve in a forked process, under a policy, as started by `user`; yield the control socket."""
    control, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        control.close()
        if hold_s is not None:
            run.HOLD_TIMEOUT_S = hold_s
        context = Context(policy.Policy(**limits), process.private_tracefs(), user=user)
        server.Server(theirs, context).serve()
        os._exit(0)
    theirs.close()
    try:
        yield control
    finally:
        control.close()
        os.waitpid(pid, 0)


def _asked(control: socket.socket, program: Program) -> Channel:
    ours, answered = socket.socketpair()
    line = encode_header({"type": "run", "program": program.to_json()})
    socket.send_fds(control, [line], [answered.fileno()])
    answered.close()
    return Channel(ours)


def _error(channel: Channel) -> str:
    try:
        return next(frame.type for frame in channel.frames() if frame.type == "attached")
    except KernelScopeError as error:
        return error.message


def restricted(folder: str) -> dict[str, Any]:
    """Run a folder's programs under the builtin policy while files and sockets are used.

    Returns by probe: words of the payloads that look like kernel addresses, and frames of stacks
    that are an address alone; and how many bytes there were.
    """
    found: dict[str, Any] = {}
    programs = json.loads((Path(folder) / "programs.json").read_text())
    with served({"source": "builtin"}) as control:
        for data in programs:
            channel = _asked(control, Program.from_json(data))
            addresses, frames, size = [], 0, 0
            for frame in channel.frames():
                if frame.type == "attached":
                    _use_disk_and_network(Path(folder))
                    channel.stop()
                size += len(frame.payload)
                if frame.type in ("batch", "map"):
                    addresses += _kernel_words(bytes(frame.payload))
                elif frame.type == "stacks":
                    stacks = json.loads(bytes(frame.payload))["frames"]
                    frames += sum(not f[0] and not f[2] for of in stacks.values() for f in of)
            found[data["name"]] = {"addresses": addresses[:5], "frames": frames, "bytes": size}
    return found


def _kernel_words(data: bytes) -> list[str]:
    """Return the addresses of the kernel's half; a negative number of 32 bits looks like none."""
    every = (struct.unpack_from("<Q", data, at)[0] for at in range(0, len(data) - 7, 4))
    kernel = (word for word in every if 0xFFFF800000000000 <= word < 0xFFFFFFFFFF000000)
    return [hex(word) for word in kernel if not 0xFFFFFE00 <= word >> 32 < 0xFFFFFFFF]


def _use_disk_and_network(folder: Path) -> None:
    for number in range(17):
        path = folder / str(number)
        with path.open("wb", buffering=0) as file:
            file.write(bytes(1 << 16))
            os.fsync(file.fileno())
        path.read_bytes()
        path.unlink()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            peer, _ = listener.accept()
            client.sendall(b"x" * 999)
            peer.recv(999)
            client.close()
            peer.close()


def limits_of_a_user() -> list[str]:
    """Start runs of one user through two agents, with two runs allowed; return what each gets."""
    limits = {"max_runs": 2, "per_user": True}
    program = Program("test", _SOURCE, duration_ns=0)
    with served(limits, user=54321) as one, served(limits, user=54321) as other:
        channels = [_asked(control, program) for control in (one, other)]
        answers = [_error(channel) for channel in channels]
        return [*answers, _error(_asked(one, program)), _error(_asked(other, program))]


def too_much_memory() -> str:
    """Ask for a ring of more than the policy allows; return the answer."""
    source = "BPF_RINGBUF_OUTPUT(big, 1024);" + _SOURCE
    with served({"max_memory_mb": 2}) as control:
        program = Program("test", source, duration_ns=1, spool_bytes=1 << 20)
        return _error(_asked(control, program))


def held_for_ever() -> str:
    """Load a program and never start it; return how that ends."""
    with served({}, hold_s=0.3) as control:
        return _error(_asked(control, Program("test", _SOURCE, hold=True)))
