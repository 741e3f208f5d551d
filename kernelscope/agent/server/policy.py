"""What this machine's administrator allows the agent to do.

C from a user is root-equivalent: a BPF program reads any memory of the kernel and of any process.
Where that is not wanted, `/etc/kernelscope/agent.json`, owned by root and writable by nobody else,
can restrict the agent to the probes that were installed with it:

    {"source": "builtin", "max_runs": 8, "max_duration_s": 3600}

source: "any" (the default) or "builtin": only the installed probes, at their own hooks and with
    their own options (see builtin_policy.py); user programs are not read for anything else. It
    is effective only if the agent's files, too, belong to root. It does not hide what these
    probes show: every user's commands, files and connections.
max_runs: runs at a time. max_duration_s: also ends a run that would last until stopped.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from kernelscope.errors import AgentRefusedError
from kernelscope.protocol.program import Program

PATH = Path("/etc/kernelscope/agent.json")
MAX_SIZE = 64 << 10


@dataclass(frozen=True)
class Policy:
    """The administrator's limits."""

    source: str = "any"
    max_runs: int = 32
    max_duration_s: int = 7 * 24 * 3600

    def check(self, program: Program) -> None:
        """Raise AgentRefusedError if the policy forbids the program."""
        if program.duration_ns > self.max_duration_s * 10**9:
            raise AgentRefusedError(
                f"the agent refused a duration over {self.max_duration_s} s",
                hint=f"{PATH} sets max_duration_s",
                field="duration_ns",
            )
        if self.source == "builtin":
            from kernelscope.agent.server import builtin_policy

            builtin_policy.check(program, PATH)

    def hook_refusal(self, spec: str) -> str | None:
        """Return why the policy forbids looking for a hook; None if it is allowed."""
        if self.source == "builtin":
            from kernelscope.agent.server import builtin_policy

            return builtin_policy.hook_refusal(spec, PATH)
        return None


def load(path: Path = PATH) -> Policy:
    """Read the policy, or the default if there is no file. Raises AgentRefusedError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return Policy()
    except OSError as error:
        raise _bad(path, os.strerror(error.errno or 0)) from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != 0 or status.st_mode & 0o022:
            raise _bad(path, "it must be a file that only root can write")
        return _parse(path, file.read(MAX_SIZE))


def _parse(path: Path, text: bytes) -> Policy:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise _bad(path, str(error)) from None
    if not isinstance(data, dict) or set(data) - set(Policy.__dataclass_fields__):
        raise _bad(path, "it has keys other than source, max_runs and max_duration_s")
    policy = Policy(**data)
    numbers = (policy.max_runs, policy.max_duration_s)
    if policy.source not in ("any", "builtin") or not all(
        type(number) is int and number > 0 for number in numbers
    ):
        raise _bad(path, 'source is "any" or "builtin"; the limits are whole numbers above 0')
    return policy


def _bad(path: Path, why: str) -> AgentRefusedError:
    return AgentRefusedError(f"the agent's policy {path} cannot be used: {why}", field="policy")
