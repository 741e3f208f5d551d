"""Names of a process's addresses, even after it has ended.

While a process lives, its memory map is read and its files are opened, so they stay readable after
its end, after a deletion, and from another mount namespace. Others control all of this input:
files are limited in number and size, and malformed data names nothing.
"""

from __future__ import annotations

import ctypes
import os
import re
import stat
import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kernelscope.agent.kernel.elf import ElfFile
from kernelscope.agent.symbols.kernel import Frame
from kernelscope.errors import TargetError

_MAX_FILES = 256
_MAX_MAPS = 16 << 20
_MAX_JIT_MAP = 64 << 20
_MAX_NAME = 1024
_FUNCTIONS = (2, 10)  # STT_FUNC, STT_GNU_IFUNC
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_BUILD_ID = b".note.gnu.build-id"
_DEBUG_FILES = Path("/usr/lib/debug/.build-id")
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) ..x. ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+) *(.*)")
_JIT_LINE = re.compile(r"(?:0x)?([0-9a-fA-F]{1,16}) (?:0x)?([0-9a-fA-F]{1,16}) (.+)")


@dataclass(frozen=True)
class Mapping:
    """An executable range of a process's memory, and the file it maps."""

    start: int
    end: int
    offset: int
    device: str
    inode: int
    path: str

    @property
    def module(self) -> str:
        """The file's path as the process sees it, "[vdso]" and the like, or ""."""
        return self.path[: -len(" (deleted)")] if self.path.endswith(" (deleted)") else self.path


class FunctionTable:
    """Functions by address: (start, size, name) each."""

    def __init__(self, functions: list[tuple[int, int, str]]) -> None:
        self._functions = sorted(functions, key=_preference)
        self._starts = [start for start, _, _ in self._functions]

    def find(self, address: int) -> tuple[str, int] | None:
        """Return the function around an address and the offset in it."""
        last = bisect_right(self._starts, address) - 1
        if last < 0:
            return None
        start, size, name = self._functions[last]
        return (name, address - start) if address < start + size or not size else None


def _preference(function: tuple[int, int, str]) -> tuple[int, int, int, int]:
    """Sort by address; the plainest of several names comes last: `read`, not `__read`."""
    start, size, name = function
    return start, size, -(len(name) - len(name.lstrip("_"))), -len(name)


class _Elf(ElfFile):
    """An ELF file as a source of function names."""

    def address(self, file_offset: int) -> int | None:
        for offset, start, size in self._segments:
            if offset <= file_offset < offset + size:
                return file_offset - offset + start
        return None

    def functions(self) -> Iterator[tuple[int, int, str]]:
        for table in self._tables():
            strings = self._strings(table)
            for name, info, _, index, address, size in self._symbols(table):
                if index and address and info & 15 in _FUNCTIONS:
                    end = strings.find(b"\0", name, name + _MAX_NAME)
                    if end > name:
                        yield address, size, strings[name:end].decode(errors="replace")

    def debug_file(self) -> Path | None:
        """Return the path of the distribution's full symbols for this file, by its build id."""
        for section in self._sections:
            if self._name(section) == _BUILD_ID and section.size <= 64:
                name = self._contents(section)[16:].hex()
                return _DEBUG_FILES / name[:2] / f"{name[2:]}.debug" if name else None
        return None


class Module:
    """The functions of one mapped file, read on first use from an open fd."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._elf: _Elf | None = None
        self._table: FunctionTable | None = None

    def resolve(self, file_offset: int) -> tuple[str, int]:
        """Return the function at an offset in the file, or "" and its address in the file."""
        if self._table is None:
            self._read()
        address = self._elf.address(file_offset) if self._elf else None
        if address is None or self._table is None:
            return "", file_offset
        return self._table.find(address) or ("", address)

    def _read(self) -> None:
        functions: set[tuple[int, int, str]] = set()
        try:
            self._elf = _Elf(f"/proc/self/fd/{self._fd}")
            functions.update(self._elf.functions())
            debug = self._elf.debug_file()
            if debug is not None and debug.is_file():
                full = _Elf(str(debug))
                with full:
                    functions.update(full.functions())
        except (TargetError, OSError, struct.error):
            pass  # not a valid ELF file: the functions found so far are used
        self._table = FunctionTable(list(functions))


class ModuleFiles:
    """The files that traced processes map, each opened once."""

    def __init__(self) -> None:
        self._modules: dict[tuple[str, int], Module] = {}
        self._vdso: Module | None = None

    def keep(self, pid: int, mapping: Mapping) -> None:
        """Open a mapping's file while the process still has it."""
        key = (mapping.device, mapping.inode)
        if not mapping.inode or key in self._modules or len(self._modules) >= _MAX_FILES:
            return
        fd = _open_mapped(pid, mapping)
        if fd is not None:
            self._modules[key] = Module(fd)

    def find(self, mapping: Mapping) -> Module | None:
        """Return a mapping's file, if it could be opened."""
        if mapping.path == "[vdso]":
            if self._vdso is None:
                self._vdso = _own_vdso()
            return self._vdso
        return self._modules.get((mapping.device, mapping.inode))


def _open_mapped(pid: int, mapping: Mapping) -> int | None:
    """Open the mapped file itself, or the same inode by its path in the process's root."""
    exact = f"/proc/{pid}/map_files/{mapping.start:x}-{mapping.end:x}"
    for path in (exact, f"/proc/{pid}/root{mapping.path}"):
        try:
            fd = os.open(path, _OPEN)
        except OSError:
            continue
        status = os.fstat(fd)
        same = path == exact or status.st_ino == mapping.inode
        if same and stat.S_ISREG(status.st_mode):
            return fd
        os.close(fd)
    return None


def _own_vdso() -> Module | None:
    """Copy this process's vDSO into a file; all 64-bit processes have the same."""
    for mapping in _parse(Path("/proc/self/maps").read_text(errors="replace")):
        if mapping.path == "[vdso]":
            with Path("/proc/self/mem").open("rb", buffering=0) as memory:
                memory.seek(mapping.start)
                image = memory.read(mapping.end - mapping.start)
            fd = os.memfd_create("vdso", os.MFD_CLOEXEC)
            os.write(fd, image)
            return Module(fd)
    return None


def _parse(text: str) -> list[Mapping]:
    found = []
    for line in text.splitlines():
        match = _MAPPING.fullmatch(line)
        if match:
            start, end, offset = (int(match[i], 16) for i in (1, 2, 3))
            found.append(Mapping(start, end, offset, match[4], int(match[5]), match[6]))
    return found


class Process:
    """A process's memory maps, newest first, and its JIT compiler's map file, if any."""

    def __init__(self, pid: int, files: ModuleFiles) -> None:
        self.pid = pid
        self._files = files
        self._snapshots: list[list[Mapping]] = []
        self._jit_fd = -1
        self._jit = FunctionTable([])
        self._jit_bytes = 0

    def observe(self) -> None:
        """Read the process's maps now; nothing changes if it has ended."""
        try:
            with Path(f"/proc/{self.pid}/maps").open("rb") as file:
                mappings = _parse(file.read(_MAX_MAPS).decode(errors="replace"))
        except OSError:
            return
        if self._jit_fd < 0:
            self._jit_fd = _open_jit_map(self.pid)
        if not mappings or (self._snapshots and self._snapshots[0] == mappings):
            return
        self._snapshots.insert(0, mappings)
        del self._snapshots[4:]  # a process may map code all the time: the newest are enough
        for mapping in mappings:
            self._files.keep(self.pid, mapping)

    def resolve(self, address: int) -> Frame:
        """Return the function at an address; ("", offset in the module, module) if it has no
        name, ("", address, "") if no mapping is known.
        """
        mapping = self._mapping(address)
        module = self._files.find(mapping) if mapping else None
        if mapping and module:
            name, offset = module.resolve(address - mapping.start + mapping.offset)
            if name:
                return demangle(name), offset, mapping.module
        else:
            offset = address
        compiled = self._jit_table().find(address)
        if compiled:
            return compiled[0], compiled[1], f"perf-{self.pid}.map"
        return "", offset, mapping.module if mapping and module else ""

    def _mapping(self, address: int) -> Mapping | None:
        for mappings in self._snapshots:
            for mapping in mappings:
                if mapping.start <= address < mapping.end:
                    return mapping
        return None

    def _jit_table(self) -> FunctionTable:
        """Return the current functions: a compiler adds lines while the program runs."""
        size = 0 if self._jit_fd < 0 else os.fstat(self._jit_fd).st_size
        if size != self._jit_bytes:
            text = os.pread(self._jit_fd, _MAX_JIT_MAP, 0)
            self._jit = FunctionTable(_parse_jit(text.decode(errors="replace")))
            self._jit_bytes = size
        return self._jit


def _open_jit_map(pid: int) -> int:
    """Open /tmp/perf-PID.map as the process sees it, if the process's user wrote it; or -1."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(errors="replace")
        status = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        own_pid = status.get("NSpid", str(pid)).split()[-1]
        user = int(status["Uid"].split()[1])
        fd = os.open(f"/proc/{pid}/root/tmp/perf-{own_pid}.map", _OPEN | os.O_NOFOLLOW)
    except (OSError, KeyError, ValueError, IndexError):
        return -1
    found = os.fstat(fd)
    if found.st_uid == user and stat.S_ISREG(found.st_mode) and found.st_size <= _MAX_JIT_MAP:
        return fd
    os.close(fd)
    return -1


def _parse_jit(text: str) -> list[tuple[int, int, str]]:
    found = []
    for line in text.split("\n"):
        match = _JIT_LINE.fullmatch(line)
        if match and match[3].isprintable():
            found.append((int(match[1], 16), int(match[2], 16), match[3][:_MAX_NAME]))
    return found


def demangle(name: str) -> str:
    """Return a C++ or legacy Rust symbol as in its source, if libstdc++ can demangle it."""
    if not name.startswith("_Z"):
        return name
    try:
        runtime = ctypes.CDLL("libstdc++.so.6")
    except OSError:
        return name
    convert = runtime.__cxa_demangle
    convert.restype = ctypes.c_void_p
    convert.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    text = convert(name.encode(), None, None, None)
    if not text:
        return name
    readable = ctypes.string_at(text).decode(errors="replace")
    free = ctypes.CDLL(None).free
    free.argtypes = [ctypes.c_void_p]
    free(text)
    return readable
