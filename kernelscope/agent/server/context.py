"""What the server creates once and its children inherit: policy, compiler, tracefs."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from kernelscope.agent.server import run_slots
from kernelscope.agent.server.policy import Policy

if TYPE_CHECKING:
    from kernelscope.agent.compile.compiler import Compiler


@dataclass
class Context:
    """One agent's policy, its one compiler, and where tracefs is."""

    policy: Policy
    tracefs: Path | None
    user: int = field(default_factory=os.getuid)
    server_pid: int = field(default_factory=os.getpid)
    _slots: int = field(default_factory=run_slots.of_agent)
    _compiler: Optional[Compiler] = None

    def compiler(self) -> Compiler:
        """Return the one Compiler, created when first asked for."""
        if self._compiler is None:
            from kernelscope.agent.compile.cache import Cache
            from kernelscope.agent.compile.compiler import Compiler

            self._compiler = Compiler(Cache.open(), self.tracefs)
        return self._compiler

    def tidy(self) -> None:
        """Delete old cache entries if this process stored new ones; nobody waits for it now."""
        if self._compiler is not None and self._compiler.cache is not None:
            self._compiler.cache.tidy_if_written()

    def take_slot(self) -> None:
        """Count this process as a run until it ends. Raises AgentRefusedError."""
        if not self.policy.per_user:
            run_slots.take(self._slots, self.policy.max_runs, "this agent's")
            return
        file = run_slots.of_user(self.user)
        run_slots.take(file, self.policy.max_runs, f"user {self.user}'s")

    def describe(self) -> dict[str, Any]:
        """Return the agent's answer to `hello`."""
        return {
            "pid": self.server_pid,
            "uid": os.geteuid(),
            "kernel": platform.release(),
            "machine": platform.machine(),
            "host": platform.node(),
            "python": platform.python_version(),
            "source": self.policy.source,
        }
