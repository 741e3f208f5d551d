"""What all compilations share: the kernel's types, macros, the include tree, clang."""

from __future__ import annotations

import os
import platform
import struct
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kernelscope.agent.btf.types import VMLINUX, Btf, Index
from kernelscope.agent.btf.types import read as read_btf
from kernelscope.agent.compile import cache_key, kallsyms_shim, libbcc
from kernelscope.agent.compile.cache import Cache
from kernelscope.errors import RequirementError

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
        return cache_key.machine_key()

    def knows(self, name: str) -> bool:
        """Return whether the full header defines that name."""
        index = self.btf.index
        known = name in index.types or name in index.enumerators
        return known or name in self.headers.macros.lines

    def full_header(self) -> Path:
        """Return the full header's file; generating it takes two seconds, once per kernel."""
        code = cache_key.digest(cache_key.own_code())
        path = self.root / f"full-{cache_key.kernel_id()}-{code}.h"
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
        name = f"btf-{cache_key.kernel_id()}-{len(data)}-{platform.python_version()}"
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
        name = f"helpers-{cache_key.digest(cache_key.library_stamp())}"
        stored = self.cache.read(name) if self.cache else None
        if stored is not None:
            return stored.decode("latin-1")
        text = libbcc.helpers_text()
        if self.cache and text:
            self.cache.write(name, text.encode("latin-1"))
        return text
