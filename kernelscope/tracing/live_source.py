"""Where the frames of live runs come from: an agent, started when it is first needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from kernelscope.errors import AgentDiedError
from kernelscope.protocol.program import Program
from kernelscope.tracing import recorders
from kernelscope.tracing.agent_client import Agent
from kernelscope.tracing.request import Request
from kernelscope.tracing.run import Run
from kernelscope.tracing.second_try import SecondTry
from kernelscope.tracing.stream import Source


class LiveSource:
    """Runs programs in the kernel. Safe to use from several threads."""

    def __init__(self, agent: Agent | None = None) -> None:
        self._agent = agent
        self._launched: Agent | None = None
        self._lock = threading.RLock()

    @property
    def agent(self) -> Agent:
        """The agent, started now if necessary. Raises AgentUnavailableError."""
        with self._lock:
            if self._agent is None or not self._agent.alive:
                self._drop_agent()
                self._agent = self._take_launched() or Agent.start()
            return self._agent

    @property
    def started(self) -> bool:
        """Whether an agent is running."""
        return self._agent is not None and self._agent.alive

    def expect(self, agent: Agent) -> None:
        """Use an agent that was launched early; its greeting is awaited when it is needed."""
        self._launched = agent

    def begin(self, request: Request) -> Run:
        """Start a run; it is not attached yet. Raises RecordingError, AgentUnavailableError."""
        frames = self._open(request.program)
        try:
            made = recorders.start(request)
        except BaseException:
            frames.close()
            raise
        return Run(frames, request, recorders=made)

    def check(self, hooks: Sequence[str]) -> dict[str, str | None]:
        """Return for each hook why this kernel cannot run it, None where it can."""
        return self.agent.check(hooks)

    def dismiss(self) -> None:
        """Let the agent end in the background; `close`, or this process's end, waits for it."""
        if self._agent is not None:
            self._agent.dismiss()

    def close(self) -> None:
        """End the agent, and with it every run."""
        with self._lock:
            self._drop_agent()
            if self._launched is not None:
                self._launched.close()

    def _open(self, program: Program) -> Source:
        agent = self.agent
        try:
            return SecondTry(
                agent.run(program), lambda: _has_ended(agent), lambda: self.agent.run(program)
            )
        except AgentDiedError:
            self.close()  # it ended since the last run; a new one serves
            return self.agent.run(program)

    def _take_launched(self) -> Agent | None:
        launched, self._launched = self._launched, None
        if launched is not None:
            launched.greet()
        return launched

    def _drop_agent(self) -> None:
        if self._agent is not None:
            self._agent.close()
            self._agent = None


def _has_ended(agent: Agent) -> bool:
    """Whether an agent has ended; its sockets close a moment before its process is gone."""
    end = time.monotonic() + 0.2
    while agent.alive and time.monotonic() < end:
        time.sleep(0.002)
    return not agent.alive
