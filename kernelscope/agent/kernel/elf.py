"""Symbols, file offsets and USDT notes of an ELF file from an untrusted source.

Only what attaching and naming addresses need: little-endian files of this machine, 64-bit ones
unless 32-bit ones are asked for. Every read is bounded by the file and by a cap, and everything
malformed raises TargetError.
"""

from __future__ import annotations

import os
import platform
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from kernelscope.errors import TargetError

_MACHINES = {"x86_64": 62, "aarch64": 183}
_MAX_TABLE = 512 << 20
_MAX_NOTES = 16 << 20
_PT_LOAD = 1
_SHT_SYMTAB, _SHT_DYNSYM, _SHT_NOTE = 2, 11, 7
_STT_FUNC, _STT_IFUNC = 2, 10
_NT_STAPSDT = 3
_MACHINES_32 = {"x86_64": (3, 62), "aarch64": (40,)}  # 62: the x32 ABI
_SYMBOL = struct.Struct("<IBBHQQ")
_SYMBOL_32 = struct.Struct("<IIIBBH")
_MOST_SYMBOLS = 4 << 20  # in one file
_VERSION_HIDDEN = 0x8000
_GO_SECTIONS = (b".go.buildinfo", b".gopclntab", b".data.rel.ro.gopclntab")
_SHT_GNU_VERSYM, _SHT_GNU_VERDEF = 0x6FFFFFFF, 0x6FFFFFFD
_MOST_VERSIONS = 4096


class TooManySymbolsError(TargetError):
    """A file has more symbols than are read."""


@dataclass(frozen=True)
class Symbol:
    """A function in an ELF file. indirect: its address is chosen when the program starts."""

    name: str
    address: int
    size: int
    indirect: bool = False


@dataclass(frozen=True)
class UsdtNote:
    """One place of a USDT probe: file offsets of the instruction and of its semaphore (or 0)."""

    provider: str
    name: str
    offset: int
    semaphore: int
    arguments: str


@dataclass(frozen=True)
class _Section:
    name: int
    type: int
    address: int
    offset: int
    size: int
    link: int


class ElfFile:
    """An open ELF file; a context manager. Raises TargetError from every method.

    any_class: 32-bit files are read, too.
    """

    def __init__(self, path: str, *, any_class: bool = False) -> None:
        self.path = path
        self._any_class = any_class
        self.fd = open_regular(path)
        try:
            self._size = os.fstat(self.fd).st_size
            self._read_headers()
        except BaseException:
            os.close(self.fd)
            raise

    def __enter__(self) -> ElfFile:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self.fd)

    # --- its contents ----------------------------------------------------------------------------

    def file_offset(self, address: int) -> int:
        """Return where in the file the instruction at a virtual address is."""
        for offset, start, size in self._segments:
            if start <= address < start + size:
                return address - start + offset
        raise self._bad(f"no part of it is loaded at address {address:#x}")

    @property
    def is_go(self) -> bool:
        """Whether it has Go code: its runtime moves stacks and checks return addresses."""
        return any(self._name(section) in _GO_SECTIONS for section in self._sections)

    def symbol(self, name: str) -> Symbol | None:
        """Return the function of that name: its default version where there are several.

        name@VERSION is that version, name@@VERSION the default one, as nm writes them.
        """
        plain, at, version = name.partition("@")
        wanted = plain.encode()
        if at and not version.startswith("@"):
            return self._of_version(wanted, version.encode())
        candidates = [s for table in self._tables() for s in self._named(table, wanted)]
        return candidates[0] if candidates else None

    def _of_version(self, wanted: bytes, version: bytes) -> Symbol | None:
        defined = self._defined_versions()
        versions = next((s for s in self._sections if s.type == _SHT_GNU_VERSYM), None)
        for table in self._tables():
            if table.type != _SHT_DYNSYM or versions is None:
                continue
            places = set(_places(self._strings(table), wanted))
            for number, (name, info, _, index, address, size) in enumerate(self._symbols(table)):
                if name in places and index and info & 15 in (_STT_FUNC, _STT_IFUNC):
                    raw = self._read(versions.offset + 2 * number, 2)
                    own = int.from_bytes(raw, "little") & ~_VERSION_HIDDEN
                    if defined.get(own) == version:
                        return Symbol(wanted.decode(), address, size, info & 15 == _STT_IFUNC)
        return None

    def _defined_versions(self) -> dict[int, bytes]:
        """Return the names of the versions that a library defines (struct Elf64_Verdef)."""
        found: dict[int, bytes] = {}
        for section in self._sections:
            if section.type != _SHT_GNU_VERDEF:
                continue
            data, strings, at = self._contents(section), self._strings(section), 0
            while at + 20 <= len(data):
                _, _, number, _, _, aux, following = struct.unpack_from("<HHHHIII", data, at)
                if at + aux + 4 > len(data):
                    break
                (name,) = struct.unpack_from("<I", data, at + aux)
                found[number] = strings[name : max(strings.find(b"\0", name), name)]
                if not following or len(found) > _MOST_VERSIONS:
                    break
                at += following
        return found

    def function_names(self) -> list[str]:
        """Return the names of all functions, sorted, without their versions."""
        return sorted({symbol.name for symbol in self.named_functions()})

    def named_functions(self) -> Iterator[Symbol]:
        """Yield every function, under each of its names, without their versions."""
        for section in self._tables():
            strings = self._strings(section)
            for name, info, _, index, address, size in self._symbols(section):
                if index and info & 15 in (_STT_FUNC, _STT_IFUNC):
                    end = strings.find(b"\0", name)
                    text = strings[name : max(end, name)].split(b"@")[0].decode(errors="replace")
                    if text:
                        yield Symbol(text, address, size, info & 15 == _STT_IFUNC)

    def usdt_notes(self) -> list[UsdtNote]:
        """Return every place of every USDT probe."""
        base = next((s.address for s in self._sections if self._name(s) == b".stapsdt.base"), 0)
        notes = []
        for section in self._sections:
            if section.type == _SHT_NOTE and self._name(section) == b".note.stapsdt":
                data = self._read(section.offset, section.size, _MAX_NOTES)
                notes += [self._usdt(description, base) for description in _stapsdt(data)]
        return notes

    # --- how it is read --------------------------------------------------------------------------

    def _bad(self, why: str) -> TargetError:
        return TargetError(f"{self.path} cannot be traced: {why}", target=self.path)

    def _read(self, offset: int, size: int, cap: int = _MAX_TABLE) -> bytes:
        if size > cap or offset + size > self._size:
            raise self._bad("it is not a whole ELF file")
        data = os.pread(self.fd, size, offset)
        if len(data) != size:
            raise self._bad("it is not a whole ELF file")
        return data

    def _read_headers(self) -> None:
        if self._size < 64 or os.pread(self.fd, 4, 0) != b"\x7fELF":
            raise self._bad("it is not an ELF program or library")
        head = self._read(0, 64)
        machine, *_ = struct.unpack_from("<H", head, 18)
        self._is_32_bit = head[4:6] == b"\x01\x01"
        if self._is_32_bit and self._any_class:
            if machine not in _MACHINES_32.get(platform.machine(), ()):
                raise self._bad(f"it is not a program for {platform.machine()}")
            self._read_headers_32(head)
            return
        if head[4:6] != b"\x02\x01" or machine != _MACHINES.get(platform.machine()):
            raise self._bad(f"it is not a 64-bit program for {platform.machine()}")
        ph_offset, sh_offset = struct.unpack_from("<QQ", head, 32)
        ph_size, ph_count, sh_size, sh_count, names = struct.unpack_from("<5H", head, 54)
        if (ph_count and ph_size != 56) or (sh_count and sh_size != 64):
            raise self._bad("its headers are malformed")
        programs = struct.iter_unpack("<IIQQQQQQ", self._read(ph_offset, ph_count * 56))
        self._segments: list[tuple[int, int, int]] = [
            (p[2], p[3], p[5]) for p in programs if p[0] == _PT_LOAD
        ]
        sections = struct.iter_unpack("<IIQQQQIIQQ", self._read(sh_offset, sh_count * 64))
        self._sections = [_Section(s[0], s[1], s[3], s[4], s[5], s[6]) for s in sections]
        self._read_names(names)

    def _read_headers_32(self, head: bytes) -> None:
        ph_offset, sh_offset = struct.unpack_from("<II", head, 28)
        ph_size, ph_count, sh_size, sh_count, names = struct.unpack_from("<5H", head, 42)
        if (ph_count and ph_size != 32) or (sh_count and sh_size != 40):
            raise self._bad("its headers are malformed")
        programs = struct.iter_unpack("<8I", self._read(ph_offset, ph_count * 32))
        self._segments = [(p[1], p[2], p[4]) for p in programs if p[0] == _PT_LOAD]
        sections = struct.iter_unpack("<10I", self._read(sh_offset, sh_count * 40))
        self._sections = [_Section(s[0], s[1], s[3], s[4], s[5], s[6]) for s in sections]
        self._read_names(names)

    def _read_names(self, names: int) -> None:
        named = names < len(self._sections)
        self._names = self._contents(self._sections[names]) if named else b""

    def _contents(self, section: _Section) -> bytes:
        return self._read(section.offset, section.size)

    def _name(self, section: _Section) -> bytes:
        return self._names[section.name : section.name + 32].split(b"\0", 1)[0]

    def section(self, name: bytes, cap: int = _MAX_NOTES) -> bytes | None:
        """Return a section's bytes, None without it or if it is larger than `cap`."""
        for section in self._sections:
            if self._name(section) == name:
                return self._contents(section) if section.size <= cap else None
        return None

    def _tables(self) -> Iterator[_Section]:
        """Yield the symbol tables. Many headers may name one table, which is read once."""
        seen: set[tuple[int, int]] = set()
        left = _MOST_SYMBOLS
        for wanted in (_SHT_DYNSYM, _SHT_SYMTAB):
            for section in self._sections:
                if section.type != wanted or (section.offset, section.size) in seen:
                    continue
                seen.add((section.offset, section.size))
                left -= section.size // (_SYMBOL_32 if self._is_32_bit else _SYMBOL).size
                if left < 0:
                    raise TooManySymbolsError(
                        f"{self.path} has more than {_MOST_SYMBOLS:,} symbols", target=self.path
                    )
                yield section

    def _strings(self, table: _Section) -> bytes:
        if table.link >= len(self._sections):
            raise self._bad("its symbol table is malformed")
        return self._contents(self._sections[table.link])

    def _symbols(self, table: _Section) -> Iterator[tuple[int, int, int, int, int, int]]:
        data = self._contents(table)
        if self._is_32_bit:
            whole = memoryview(data)[: len(data) // _SYMBOL_32.size * _SYMBOL_32.size]
            entries = _SYMBOL_32.iter_unpack(whole)
            return ((n, info, o, index, a, s) for n, a, s, info, o, index in entries)
        whole = memoryview(data)[: len(data) // _SYMBOL.size * _SYMBOL.size]
        return _SYMBOL.iter_unpack(whole)

    def _named(self, table: _Section, wanted: bytes) -> list[Symbol]:
        places = set(_places(self._strings(table), wanted))
        if not places:
            return []
        found = []
        for number, (name, info, _, index, address, size) in enumerate(self._symbols(table)):
            if name in places and index and info & 15 in (_STT_FUNC, _STT_IFUNC):
                symbol = Symbol(wanted.decode(), address, size, info & 15 == _STT_IFUNC)
                found.append((self._hidden(table, number), symbol))
        return [symbol for _, symbol in sorted(found, key=lambda item: item[0])]

    def _hidden(self, table: _Section, number: int) -> bool:
        """Whether a symbol is an old version, kept for programs linked long ago."""
        for section in self._sections:
            if table.type == _SHT_DYNSYM and section.type == _SHT_GNU_VERSYM:
                version = self._read(section.offset + 2 * number, 2)
                return bool(int.from_bytes(version, "little") & _VERSION_HIDDEN)
        return False

    def _usdt(self, description: bytes, base: int) -> UsdtNote:
        parts = description[24:].split(b"\0")
        if len(description) < 24 or len(parts) < 3:
            raise self._bad("its USDT notes are malformed")
        location, linked_base, semaphore = struct.unpack_from("<QQQ", description)
        moved = base - linked_base if base else 0  # prelink moves code, not notes
        text = [part.decode(errors="replace") for part in parts[:3]]
        return UsdtNote(
            provider=text[0],
            name=text[1],
            offset=self.file_offset(location + moved),
            semaphore=self.file_offset(semaphore + moved) if semaphore else 0,
            arguments=text[2],
        )


def _places(strings: bytes, wanted: bytes) -> Iterator[int]:
    """Yield where `wanted` ends a string, or precedes a version; it may be another's tail."""
    place = strings.find(wanted)
    while place >= 0:
        if strings[place + len(wanted) : place + len(wanted) + 1] in (b"\0", b"@"):
            yield place
        place = strings.find(wanted, place + 1)


def _stapsdt(data: bytes) -> Iterator[bytes]:
    place = 0
    while place + 12 <= len(data):
        name_size, size, kind = struct.unpack_from("<III", data, place)
        name = place + 12
        start = name + (name_size + 3 & ~3)
        if kind == _NT_STAPSDT and data[name : name + 8] == b"stapsdt\0":
            yield data[start : start + size]
        place = start + (size + 3 & ~3)


def open_regular(path: str) -> int:
    """Open a regular file for reading and return its fd; anything else is left untouched.

    Raises TargetError.
    """
    try:
        # O_PATH first: merely opening a device can start a watchdog or rewind a tape.
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(place).st_mode):
                raise TargetError(f"{path} is not a regular file", target=path)
            return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(place)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TargetError(f"{path} cannot be opened: {reason}", target=path) from None
