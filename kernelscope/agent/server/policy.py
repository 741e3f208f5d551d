"""What this machine's administrator allows the agent to do.

C from a user is root-equivalent: a BPF program reads any memory of the kernel and of any process.
Where that is not wanted, `/etc/kernelscope/agent.json`, owned by root and writable only by root,
can restrict the agent to the probes that were installed with it:

    {"source": "builtin", "max_runs": 8, "max_duration_s": 3600, "max_memory_mb": 512,
     "probes": ["sslsniff"]}

source: "any" (the default) or "builtin": only the installed probes, at their own hooks and with
    their own options (see builtin_policy.py); user programs are not read for anything else. It
    is effective only if the agent's files, too, belong to root: the agent checks that. It does
    not hide what these probes show: every user's commands, files and connections.
max_runs: runs at a time, of one user on this machine. max_duration_s: also ends a run that would
    last until stopped. max_memory_mb: of one run's rings, maps and send queue together.
probes: with "builtin", probes that may also read the contents of other users' data, and take an
    interface's only XDP slot. Without it, both are refused.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from kernelscope.agent.run.limits import Limits
from kernelscope.errors import AgentRefusedError
from kernelscope.protocol.probe_folder import PACKAGE, probe_folder
from kernelscope.protocol.program import Program

PATH = Path("/etc/kernelscope/agent.json")
KEYS = ("source", "max_runs", "max_duration_s", "max_memory_mb", "probes")
MAX_SIZE = 64 << 10


@dataclass(frozen=True)
class Policy:
    """The administrator's limits."""

    source: str = "any"
    max_runs: int = 32
    max_duration_s: int = 7 * 24 * 3600
    max_memory_mb: Optional[int] = None
    probes: tuple[str, ...] = ()
    per_user: bool = False  # a file set the limits: they count for all agents of a user

    @property
    def restricted(self) -> bool:
        """Whether the caller may run installed probes alone."""
        return self.source == "builtin"

    def limits(self) -> Limits:
        """Return the limits of one run."""
        memory = None if self.max_memory_mb is None else self.max_memory_mb << 20
        return Limits(self.max_duration_s, memory, self.restricted)

    def allowed(self, program: Program) -> Program:
        """Return the program as it may run. Raises AgentRefusedError if the policy forbids it."""
        if program.duration_ns > self.max_duration_s * 10**9:
            raise AgentRefusedError(
                f"the agent refused a duration over {self.max_duration_s} s",
                hint=f"{PATH} sets max_duration_s",
                field="duration_ns",
            )
        if not self.restricted:
            return program
        from kernelscope.agent.server import builtin_policy

        return builtin_policy.allowed(program, PATH, self.probes)

    def check_refusal(self, spec: str) -> str | None:
        """Return why the policy forbids checking a hook, which may attach it for a moment."""
        if not self.restricted:
            return None
        from kernelscope.agent.server import builtin_policy

        return builtin_policy.check_refusal(spec, PATH)

    def try_refusal(self, spec: str) -> str | None:
        """Return why the policy forbids trying a hook: an interface has one XDP slot."""
        if self.restricted and spec.startswith("xdp:"):
            return f"not tried: the policy of this machine ({PATH}) allows only installed probes"
        return self.check_refusal(spec)

    def list_refusal(self, kind: str) -> str | None:
        """Return why the policy forbids listing the names of a kind of hook."""
        if not self.restricted:
            return None
        from kernelscope.agent.server import builtin_policy

        return builtin_policy.list_refusal(kind, PATH)


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
        policy = _parse(path, file.read(MAX_SIZE))
    if policy.restricted:
        require_own_files(path)
    return policy


def require_own_files(path: Path) -> None:
    """Raise AgentRefusedError if others than root can change the agent's code or its probes.

    The policy would then bind nobody: they could change the agent itself.
    """
    for folder in (PACKAGE, probe_folder(), *map(Path, sys.path)):
        for place in (folder, *folder.parents):
            with suppress(FileNotFoundError):
                if _writable_by_others(place):
                    raise _bad(path, f"others than root can write {place}, which has agent code")


def _writable_by_others(place: Path) -> bool:
    """Whether others can replace an entry; in a sticky folder they cannot replace root's."""
    status = place.stat()
    if status.st_uid != 0:
        return True
    return bool(status.st_mode & 0o022) and not status.st_mode & stat.S_ISVTX


def _parse(path: Path, text: bytes) -> Policy:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise _bad(path, str(error)) from None
    if not isinstance(data, dict) or set(data) - set(KEYS):
        raise _bad(path, f"it has keys other than {', '.join(KEYS)}")
    for key in ("max_runs", "max_duration_s", "max_memory_mb"):
        if key in data and not (type(data[key]) is int and data[key] > 0):
            raise _bad(path, f"{key} is a whole number above 0")
    probes = data.get("probes", [])
    if not isinstance(probes, list) or not all(isinstance(name, str) for name in probes):
        raise _bad(path, "probes is a list of names")
    if data.get("source", "any") not in ("any", "builtin"):
        raise _bad(path, 'source is "any" or "builtin"')
    return Policy(**{**data, "probes": tuple(probes)}, per_user=True)


def _bad(path: Path, why: str) -> AgentRefusedError:
    return AgentRefusedError(f"the agent's policy {path} cannot be used: {why}", field="policy")
