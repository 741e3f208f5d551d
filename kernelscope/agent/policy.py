"""What this machine's administrator lets the agent do.

C from a user is root-equivalent: a BPF program reads any memory of the kernel and of any process.
Where that is not wanted, `/etc/kernelscope/agent.json`, owned by root and writable by nobody else,
can hold the agent to the probes that were installed with it:

    {"source": "builtin", "max_runs": 8, "max_duration_s": 3600}

source: "any" (the default) or "builtin": only C whose text lies in the agent's own `bpf` folder.
    It binds only where the agent's files, too, belong to root.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from kernelscope.agent.protocol import Program
from kernelscope.errors import AgentRefusedError

PATH = Path("/etc/kernelscope/agent.json")
MAX_SIZE = 64 << 10


@dataclass(frozen=True)
class Policy:
    """The administrator's limits."""

    source: str = "any"
    max_runs: int = 32
    max_duration_s: int = 7 * 24 * 3600

    def check(self, program: Program) -> None:
        """Raise AgentRefusedError where the policy forbids the program."""
        if program.duration_ns > self.max_duration_s * 10**9:
            raise AgentRefusedError(
                f"the agent refused a duration over {self.max_duration_s} s",
                hint=f"{PATH} sets max_duration_s",
                field="duration_ns",
            )
        if self.source == "builtin" and _digest(program.source) not in _builtin_digests():
            raise AgentRefusedError(
                "this machine's policy allows the installed probes only, no C of your own",
                hint=f'C is root-equivalent; {PATH} would have to say "source": "any"',
                field="source",
            )


def load(path: Path = PATH) -> Policy:
    """Read the policy, the default where there is none. Raises AgentRefusedError."""
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
        raise _bad(path, "it holds something other than source, max_runs and max_duration_s")
    policy = Policy(**data)
    numbers = (policy.max_runs, policy.max_duration_s)
    if policy.source not in ("any", "builtin") or not all(
        type(number) is int and number > 0 for number in numbers
    ):
        raise _bad(path, 'source is "any" or "builtin"; the limits are whole numbers above 0')
    return policy


def _bad(path: Path, why: str) -> AgentRefusedError:
    return AgentRefusedError(f"the agent's policy {path} cannot be used: {why}", field="policy")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _builtin_digests() -> set[str]:
    """Digests of the C files that came with the agent (an installed wheel, or a checkout)."""
    package = Path(__file__).resolve().parent.parent
    folders = (package / "_bpf", package.parent / "bpf")
    return {
        hashlib.sha256(file.read_bytes()).hexdigest()
        for folder in folders
        for file in folder.glob("*/*.c")
    }
