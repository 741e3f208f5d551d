"""An unprivileged user's notebook, whose agent needs sudo; run by agent/test_sudo.py."""

from __future__ import annotations

import json
import os
import sys
import types
from typing import Any

ROOT = sys.argv[1]
package = types.ModuleType("kernelscope")
package.__path__ = [f"{ROOT}/kernelscope"]
sys.modules["kernelscope"] = package

from kernelscope.errors import KernelScopeError  # noqa: E402
from kernelscope.protocol.program import Program  # noqa: E402
from kernelscope.tracing.agent_client import Agent  # noqa: E402 - the package is entered by hand


def say(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main() -> None:
    try:
        agent = Agent.start()
    except KernelScopeError as error:
        say(error=type(error).__name__, message=error.message, hint=error.hint)
        return
    channel = agent.run(Program("test", sys.argv[2]))
    frames = channel.frames()
    next(frames)
    say(uid=os.getuid(), agent_uid=agent.info["uid"], agent=agent.info["pid"], sudo=agent.pid)
    for line in sys.stdin:
        if line == "stop\n":
            channel.stop()
            receipt = next(frame.header for frame in frames if frame.type == "receipt")
            say(exit=receipt["exit"])
            agent.close()
            say(alive=agent.alive)
            return


main()
