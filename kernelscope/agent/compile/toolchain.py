"""What all compilations share: the kernel's types, macros, the include tree, clang."""

from __future__ import annotations

import hashlib
import os
import platform
import struct
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kernelscope.agent.btf.types import VMLINUX, Btf, Index
from kernelscope.agent.btf.types import read as read_btf
from kernelscope.agent.compile import kallsyms_shim, libbcc
from kernelscope.agent.compile.cache import Cache
from kernelscope.agent.kernel import syscalls
from kernelscope.errors import RequirementError
from kernelscope.protocol.probe_folder import PACKAGE

if TYPE_CHECKING:
    from kernelscope.agent.btf.kernel_header import HeaderMaker


class Toolchain:
    """Its parts are loaded when first needed."""

    def __init__(self, cache: Cache | None, btf_path: Path = VMLINUX) -> None:
        self.cache = cache
        self._btf_path = btf_path

    @cached_property
    def headers(self) -> HeaderMaker:
        """Generates headers. Raises RequirementError if the kernel has no BTF."""
        from kernelscope.agent.btf.kernel_header import HeaderMaker, Helpers, Macros

        return HeaderMaker(self._load_btf(), Macros.load(), Helpers.parse(self._helpers()))

    @property
    def btf(self) -> Btf:
        """The kernel's types. Raises RequirementError if the kernel has no BTF."""
        return self.headers.btf

    @cached_property
    def root(self) -> Path:
        """The include tree, for BCC_KERNEL_SOURCE."""
        from kernelscope.agent.compile import include_tree

        names = kallsyms_shim.listing(self.btf.index.enumerators)
        return include_tree.make(self.cache, {"kallsyms": names})

    @cached_property
    def identity(self) -> bytes:
        """Everything besides the program that bytecode depends on: kernel, bcc, this code."""
        parts = (kernel_id().encode(), _library_stamp(), _own_code(), platform.machine().encode())
        return digest(*parts, str(syscalls.possible_cpus()).encode()).encode()

    def knows(self, name: str) -> bool:
        """Return whether the full header defines that name."""
        index = self.btf.index
        known = name in index.types or name in index.enumerators
        return known or name in self.headers.macros.lines

    def full_header(self) -> Path:
        """Return the full header's file; generating it takes two seconds, once per kernel."""
        path = self.root / f"full-{kernel_id()}-{digest(_own_code())}.h"
        if not path.exists():
            for old in self.root.glob("full-*"):
                old.unlink()
            temporary = path.with_suffix(f".{os.getpid()}")
            temporary.write_text(self.headers.full())
            temporary.replace(path)
        return path

    def _load_btf(self) -> Btf:
        try:
            data = read_btf(self._btf_path)
        except OSError as error:
            raise RequirementError(
                f"the kernel's type information cannot be read: {error}",
                hint="a kernel built with CONFIG_DEBUG_INFO_BTF=y has it",
                requirement="btf",
            ) from None
        name = f"btf-{kernel_id()}-{len(data)}-{platform.python_version()}"
        stored = self.cache.read(name) if self.cache else None
        if stored is not None:
            try:
                return Btf(data, Index.load(stored))
            except (ValueError, struct.error):
                pass
        btf = Btf(data)
        if self.cache:
            self.cache.write(name, btf.index.dump())
        return btf

    def _helpers(self) -> str:
        name = f"helpers-{digest(_library_stamp())}"
        stored = self.cache.read(name) if self.cache else None
        if stored is not None:
            return stored.decode("latin-1")
        text = libbcc.helpers_text()
        if self.cache and text:
            self.cache.write(name, text.encode("latin-1"))
        return text


def digest(*parts: bytes) -> str:
    """Return a short digest of the parts; where one ends and the next begins matters."""
    state = hashlib.sha256()
    for part in parts:
        state.update(struct.pack("<Q", len(part)) + part)
    return state.hexdigest()[:32]


def kernel_id() -> str:
    """Return a digest of the running kernel's build."""
    try:
        notes = Path("/sys/kernel/notes").read_bytes()
    except OSError:
        notes = " ".join(os.uname()).encode()
    return digest(notes, platform.release().encode())[:16]


def _library_stamp() -> bytes:
    path = libbcc.library_path()
    if path is None:
        return b"none"
    info = path.stat()
    return f"{path} {info.st_mtime_ns} {info.st_size}".encode()


def _own_code() -> bytes:
    """Return names, times and sizes of every file below agent/ and protocol/."""
    stamps: list[str] = []
    folders = [PACKAGE / "agent", PACKAGE / "protocol"]
    for folder in folders:  # grows while folders are found
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    if entry.name != "__pycache__":
                        folders.append(Path(entry.path))
                else:
                    info = entry.stat()
                    stamps.append(f"{entry.path} {info.st_mtime_ns} {info.st_size} ")
    return "".join(sorted(stamps)).encode()
