"""The functions of files that processes map, from the files and from their separate symbols."""

from __future__ import annotations

import os
import stat
import struct
import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from kernelscope.agent.kernel.debug_files import separate
from kernelscope.agent.kernel.elf import ElfFile, TooManySymbolsError
from kernelscope.errors import TargetError

MOST_FILES = 1024
MOST_SECONDS = 10.0  # spent on the symbols of one file
MOST_SECONDS_OF_ALL = 60.0
_MAX_NAME = 4096
_FUNCTIONS = (2, 10)  # STT_FUNC, STT_GNU_IFUNC
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_CHECK_EVERY = 1 << 16

Function = tuple[int, int, str]


class FunctionTable:
    """Functions by address: (start, size, name) each."""

    def __init__(self, functions: list[Function]) -> None:
        self._functions = sorted(functions, key=_preference)
        self._starts = [start for start, _, _ in self._functions]

    def find(self, address: int) -> tuple[str, int] | None:
        """Return the function around an address and the offset in it."""
        last = bisect_right(self._starts, address) - 1
        if last < 0:
            return None
        start, size, name = self._functions[last]
        return (name, address - start) if address < start + size or not size else None


def _preference(function: Function) -> tuple[int, int, int, int]:
    """Sort by address; the plainest of several names comes last: `read`, not `__read`."""
    start, size, name = function
    return start, size, -(len(name) - len(name.lstrip("_"))), -len(name)


class _Elf(ElfFile):
    """An ELF file as a source of function names."""

    def address(self, file_offset: int) -> int | None:
        """Return the virtual address of an offset in the file, None if it is not loaded."""
        for offset, start, size in self._segments:
            if offset <= file_offset < offset + size:
                return file_offset - offset + start
        return None

    def functions(self, until: float) -> Iterator[Function]:
        """Yield the functions. Raises TimeoutError at that moment of the monotonic clock."""
        for table in self._tables():
            strings = self._strings(table)
            for number, (name, info, _, index, address, size) in enumerate(self._symbols(table)):
                if index and address and info & 15 in _FUNCTIONS:
                    end = strings.find(b"\0", name, name + _MAX_NAME)
                    if end > name:
                        text = strings[name:end].split(b"@", 1)[0]
                        yield address, size, text.decode(errors="replace")
                if number % _CHECK_EVERY == 0 and time.monotonic() > until:
                    raise TimeoutError


class Budget:
    """The time left for reading symbols."""

    def __init__(self, seconds: float = MOST_SECONDS_OF_ALL) -> None:
        self.seconds = seconds


class Module:
    """The functions of one mapped file, read on first use from an open fd.

    path: the file's name in the file system that `root` shows, where its symbols may be next to it.
    """

    def __init__(
        self, fd: int, path: str = "", root: str = "", budget: Budget | None = None
    ) -> None:
        self._fd = fd
        self._path = path
        self._root = root
        self._budget = budget or Budget()
        self._elf: _Elf | None = None
        self._table: FunctionTable | None = None
        self.is_cut = False

    def resolve(self, file_offset: int) -> tuple[str, int]:
        """Return the function at an offset in the file, or "" and its address in the file."""
        if self._table is None:
            self._read()
        address = self._elf.address(file_offset) if self._elf else None
        if address is None or self._table is None:
            return "", file_offset
        return self._table.find(address) or ("", address)

    def close(self) -> None:
        """Close the file, unless its symbols have been read."""
        if self._table is None:
            os.close(self._fd)
            self._table = FunctionTable([])

    def _read(self) -> None:
        functions: set[Function] = set()
        started = time.monotonic()
        until = started + min(MOST_SECONDS, self._budget.seconds)
        try:
            self._elf = elf = _open_elf(f"/proc/self/fd/{self._fd}")
            functions.update(elf.functions(until))
            for other in separate(elf, self._path, self._root, _open_elf):
                with other:
                    functions.update(other.functions(until))
        except (TimeoutError, TooManySymbolsError):
            self.is_cut = True
        except (TargetError, OSError, struct.error):
            pass  # not a valid ELF file: the functions found so far are used
        self._table = FunctionTable(list(functions))
        self._budget.seconds -= time.monotonic() - started


def _open_elf(path: str) -> _Elf:
    return _Elf(path, any_class=True)


class ModuleFiles:
    """The files that traced processes map, each opened once; the least recently used are closed.

    dropped: files that were closed before their symbols were read.
    """

    def __init__(self, most: int = MOST_FILES) -> None:
        self._most = most
        self._budget = Budget()
        self._modules: OrderedDict[tuple[str, int], Module] = OrderedDict()
        self.dropped = 0

    def keep(self, key: tuple[str, int], pid: int, start: int, end: int, path: str) -> None:
        """Open a mapped file while the process still has it. key: its device and inode."""
        if key in self._modules:
            self._modules.move_to_end(key)
            return
        fd, root = _open_mapped(pid, start, end, path, key[1])
        if fd is None:
            return
        while len(self._modules) >= self._most:
            self._modules.popitem(last=False)[1].close()
            self.dropped += 1
        self._modules[key] = Module(fd, path, root, self._budget)

    def find(self, key: tuple[str, int]) -> Module | None:
        """Return a mapped file, if it could be opened."""
        module = self._modules.get(key)
        if module is not None:
            self._modules.move_to_end(key)
        return module

    def cut(self) -> int:
        """Return how many files have more symbols than could be read in the time allowed."""
        return sum(module.is_cut for module in self._modules.values())


def _open_mapped(pid: int, start: int, end: int, path: str, inode: int) -> tuple[int | None, str]:
    """Open the mapped file itself, or the same inode by its path in the process's root, or here.

    Returns the fd, and the folder below which `path` names the file for this process.
    """
    exact = f"/proc/{pid}/map_files/{start:x}-{end:x}"
    for place in (exact, f"/proc/{pid}/root{path}", path):
        try:
            fd = os.open(place, _OPEN)
        except OSError:
            continue
        status = os.fstat(fd)
        if (place == exact or status.st_ino == inode) and stat.S_ISREG(status.st_mode):
            return fd, _root(pid, path, status)
        os.close(fd)
    return None, ""


def _root(pid: int, path: str, status: os.stat_result) -> str:
    """Return "" where the path names the file here as well, else the process's root."""
    try:
        here = Path(path).stat()
    except OSError:
        return f"/proc/{pid}/root"
    same = (here.st_dev, here.st_ino) == (status.st_dev, status.st_ino)
    return "" if same else f"/proc/{pid}/root"
