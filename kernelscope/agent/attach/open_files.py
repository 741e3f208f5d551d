"""The programs and libraries that one process looks into: each opened once, and kept open.

The owner of a path may point it at another file at any moment. So a name is resolved once, and
symbols, USDT notes and the attachment itself all use that one open file.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress

from kernelscope.agent.attach import user_targets
from kernelscope.agent.kernel.elf import ElfFile
from kernelscope.errors import TargetError

ALLOCATOR = "allocator"  # the target whose malloc a process calls; without a process, "c"
_C_LIBRARY = re.compile(r"/(libc[.-][^/]*so[^/]*|ld-musl-[^/]*)\Z")
_LOADER = re.compile(r"/ld-linux[^/]*\Z")  # has a malloc for itself until the C library is there


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
            if target == ALLOCATOR and pid is not None:
                self._paths[key] = [self._allocator(pid)]
            else:
                name = "c" if target == ALLOCATOR else target
                self._paths[key] = user_targets.paths(name, pid, only_mapped=self._only_mapped)
        return self._paths[key]

    def _allocator(self, pid: int) -> str:
        """Return the file whose malloc a process calls. Raises TargetError if there is none.

        The loader prefers the program's own functions, and those of libraries loaded before the C
        library: jemalloc or tcmalloc. A static program has nothing but its own.
        """
        files = user_targets.mapped_files(pid, only_mapped=self._only_mapped)
        last = [path for path, name in files if _C_LIBRARY.search(name)]
        first = [path for path, name in files if path not in last and not _LOADER.search(name)]
        for path in [*first, *last]:
            with suppress(TargetError):
                elf = self.elf(path)
                if all(elf.symbol(name) for name in ("malloc", "free")):
                    return path
        if not os.path.exists(f"/proc/{pid}/exe"):  # noqa: PTH110 - of a zombie, too
            raise TargetError(f"process {pid} has ended", target=f"pid:{pid}")
        raise TargetError(
            f"no file that process {pid} has mapped has a function malloc with a name",
            hint="It is a static program without symbols, or has an allocator of its own.",
            target=f"pid:{pid}",
        )

    def elf(self, path: str) -> ElfFile:
        """Return the file of that path, as it was when first opened. Raises TargetError."""
        if path not in self._files:
            self._files[path] = ElfFile(path)
        return self._files[path]
