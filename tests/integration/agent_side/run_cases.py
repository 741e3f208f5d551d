"""The steps of test_runs.py that run in the agent's Python; results are plain JSON."""

from __future__ import annotations

import os
import socket
from typing import Any

from kernelscope.agent.kernel import process
from kernelscope.agent.server import policy, server
from kernelscope.agent.server.context import Context
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


def under_policy(limits: dict[str, Any], duration_ns: int) -> dict[str, Any]:
    """Run a program in a server that is held to a policy; return its receipt."""
    control, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        control.close()
        context = Context(policy.Policy(**limits), process.private_tracefs())
        server.Server(theirs, context).serve()
        os._exit(0)
    theirs.close()
    ours, answered = socket.socketpair()
    program = Program("test", _SOURCE, duration_ns=duration_ns)
    line = encode_header({"type": "run", "program": program.to_json()})
    socket.send_fds(control, [line], [answered.fileno()])
    answered.close()
    receipt = _receipt(Channel(ours))
    control.close()
    os.waitpid(pid, 0)
    return receipt
