"""Where a program's symbols are if it was stripped: packed inside it, or in another file.

.gnu_debugdata holds a small ELF file (MiniDebugInfo); a build id or .gnu_debuglink names a file,
which is looked for where gdb does (its manual, "Debugging Information in Separate Files").
"""

from __future__ import annotations

import lzma
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from kernelscope.agent.kernel.elf import ElfFile
from kernelscope.errors import TargetError

_FOLDER = Path("/usr/lib/debug")
_MOST_PACKED = 32 << 20
_MOST_UNPACKED = 128 << 20
_MOST_FILE = 2 << 30

_Elf = TypeVar("_Elf", bound=ElfFile)


def separate(elf: ElfFile, path: str, root: str, read: Callable[[str], _Elf]) -> Iterator[_Elf]:
    """Yield the files that hold more symbols of an open one, each opened by `read`.

    path: the file's name below the folder `root`. A file that is malformed is left out.
    """
    packed = elf.section(b".gnu_debugdata", _MOST_PACKED)
    if packed:
        with suppress(TargetError, lzma.LZMAError, OSError):
            yield _unpacked(packed, read)
    build_id = elf.section(b".note.gnu.build-id", 64)
    if build_id and len(build_id) > 17:
        name = build_id[16:].hex()
        place = _FOLDER / ".build-id" / name[:2] / f"{name[2:]}.debug"
        if place.is_file():
            with suppress(TargetError):
                yield read(str(place))
                return
    link = _link(elf)
    if link is not None and path.startswith("/"):
        found = _linked(elf, path, root, *link, read)
        if found is not None:
            yield found


def _link(elf: ElfFile) -> tuple[str, int] | None:
    """Return the name of the file that .gnu_debuglink states, and its checksum."""
    data = elf.section(b".gnu_debuglink", 4096)
    if not data or len(data) < 8:
        return None
    name = data.split(b"\0", 1)[0].decode(errors="replace")
    return (name, struct.unpack("<I", data[-4:])[0]) if name and "/" not in name else None


def _linked(
    elf: ElfFile, path: str, root: str, name: str, crc: int, read: Callable[[str], _Elf]
) -> _Elf | None:
    """Open the linked file if its contents match.

    It must be root's or of the same owner as the program: the name is the program's to choose.
    """
    owner = os.fstat(elf.fd).st_uid
    folder = path.rpartition("/")[0]
    for place in (
        f"{root}{folder}/{name}",
        f"{root}{folder}/.debug/{name}",
        f"{_FOLDER}{folder}/{name}",
    ):
        try:
            found = read(place)
        except TargetError:
            continue
        status = os.fstat(found.fd)
        fits = status.st_uid in (owner, 0) and status.st_size <= _MOST_FILE
        if fits and _crc(found.fd) == crc:
            return found
        os.close(found.fd)
    return None


def _unpacked(packed: bytes, read: Callable[[str], _Elf]) -> _Elf:
    data = lzma.LZMADecompressor(memlimit=_MOST_UNPACKED).decompress(packed, _MOST_UNPACKED)
    fd = os.memfd_create("debugdata", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(data)
        return read(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def _crc(fd: int) -> int:
    value = offset = 0
    while True:
        data = os.pread(fd, 4 << 20, offset)
        if not data:
            return value
        value = zlib.crc32(data, value)
        offset += len(data)
