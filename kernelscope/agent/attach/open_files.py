"""The programs and libraries that one process looks into: each opened once, and kept open.

The owner of a path may point it at another file at any moment. So a name is resolved once, and
symbols, USDT notes and the attachment itself all use that one open file.
"""

from __future__ import annotations

from kernelscope.agent.attach import user_targets
from kernelscope.agent.kernel.elf import ElfFile


class OpenFiles:
    """Files by name, open until this process ends.

    only_mapped: of a process's files, take only those that it has mapped. A name in its mount
    namespace may lead to any file, and what the agent says of that file is news to the caller.
    """

    def __init__(self, *, only_mapped: bool = False) -> None:
        self._only_mapped = only_mapped
        self._paths: dict[tuple[str, int | None], list[str]] = {}
        self._files: dict[str, ElfFile] = {}

    def paths(self, target: str, pid: int | None) -> list[str]:
        """Return the files that `target` may mean, as `user_targets.paths` found them first."""
        key = target, pid
        if key not in self._paths:
            self._paths[key] = user_targets.paths(target, pid, only_mapped=self._only_mapped)
        return self._paths[key]

    def elf(self, path: str) -> ElfFile:
        """Return the file of that path, as it was when first opened. Raises TargetError."""
        if path not in self._files:
            self._files[path] = ElfFile(path)
        return self._files[path]
