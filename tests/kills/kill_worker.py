"""The client that kill_figures.py kills, or whose agent: it runs programs on request.

Commands are lines of JSON on stdin (run with a program, stop); events are lines of JSON on stdout.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

from integration.support.notebook_kernel import children

from kernelscope.errors import KernelScopeError
from kernelscope.protocol.program import Program
from kernelscope.tracing.agent_client import Agent, Channel


def _report(event: str, **facts: Any) -> None:
    print(json.dumps({"event": event, **facts}), flush=True)


def _follow(channel: Channel) -> None:
    why = ""
    try:
        for frame in channel.frames():
            if frame.type == "attached":
                _report("attached")
    except KernelScopeError as error:
        why = error.message
    channel.close()
    _report("ended", why=why)


def _new_agent() -> Agent:
    """Start an agent whose greeting has ended: its only children are then runs."""
    agent = Agent.start()
    while children(agent.pid):
        time.sleep(0.001)
    return agent


def _started(agent: Agent | None, program: Program) -> tuple[Agent, Channel]:
    if agent is None or not agent.alive:
        agent = _new_agent()
    try:
        return agent, agent.run(program)
    except KernelScopeError:
        agent = _new_agent()
        return agent, agent.run(program)


def main() -> None:
    """Obey until stdin ends."""
    agent: Agent | None = None
    channel: Channel | None = None
    for line in sys.stdin:
        command = json.loads(line)
        if command["command"] == "run":
            agent, channel = _started(agent, Program.from_json(command["program"]))
            _report("requested", agent=agent.pid)
            threading.Thread(target=_follow, args=(channel,)).start()
        elif channel is not None:
            channel.stop()


if __name__ == "__main__":
    main()
