"""One process's view of what its kernel offers: tracepoints, functions, what it tried so far."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from kernelscope.agent.attach.open_files import OpenFiles
from kernelscope.errors import KernelScopeError, RequirementError
from kernelscope.protocol.hook_grammar import ParsedHook

_KALLSYMS = Path("/proc/kallsyms")


class KernelView:
    """What this kernel has; remembers what was tried.

    tracefs: where it is mounted, None if it is not. target_pid: whose address space user
    probes are looked up in. files: the programs and libraries that were looked into.
    restricted: of a process, look only into files that it has mapped.
    """

    def __init__(
        self, tracefs: Path | None, target_pid: int | None = None, *, restricted: bool = False
    ) -> None:
        self.tracefs = tracefs
        self.target_pid = target_pid
        self.files = OpenFiles(only_mapped=restricted)
        self._tried: dict[tuple[str, str], KernelScopeError | None] = {}

    def events(self) -> Path:
        """Return tracefs's directory of tracepoints. Raises RequirementError without tracefs."""
        if self.tracefs is None:
            raise RequirementError(
                "tracefs is not mounted, and the agent could not mount it for itself",
                hint="Run: mount -t tracefs tracefs /sys/kernel/tracing",
                requirement="tracefs",
            )
        return self.tracefs / "events"

    def tracepoints(self, category: str = "") -> list[str]:
        """Return "category:name" of every tracepoint, or of one category's."""
        try:
            wanted = [category] if category else sorted(p.name for p in self.events().iterdir())
            return [f"{part}:{name}" for part in wanted for name in self._names(part)]
        except OSError:
            return []

    def raw_tracepoints(self) -> list[str]:
        """Return the names of the tracepoints that raw and BTF-typed programs attach to."""
        names = (name.partition(":") for name in self.tracepoints())
        return [name for category, _, name in names if category != "syscalls"]

    def _names(self, category: str) -> list[str]:
        directory = self.events() / category
        if not directory.is_dir():
            return []
        return sorted(entry.name for entry in directory.iterdir() if entry.is_dir())

    def try_once(self, hook: ParsedHook, attempt: Callable[[], None], key: str = "") -> None:
        """Run `attempt` for a hook, once; raise again what it raised. key: instead of its name."""
        known = hook.kind, key or hook.name
        if known not in self._tried:
            try:
                attempt()
                self._tried[known] = None
            except KernelScopeError as error:
                self._tried[known] = error
        refused = self._tried[known]
        if refused is not None:
            raise refused


@lru_cache(maxsize=1)
def kernel_functions() -> tuple[str, ...]:
    """Return the names of the kernel's functions, () where they may not be read."""
    try:
        lines = _KALLSYMS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    fields = (line.split(None, 3) for line in lines)
    return tuple(part[2] for part in fields if part[1] in "tT" and "." not in part[2])
