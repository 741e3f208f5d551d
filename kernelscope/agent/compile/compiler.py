"""BPF C to bytecode: through the cache, or through BCC with a header made from BTF.

The result is plain data: instructions, the maps they need and how to read them. The loader always
creates the maps itself, so cached and freshly compiled programs take the same path.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from kernelscope.agent.btf.types import VMLINUX, Btf
from kernelscope.agent.compile import bpf_object, kallsyms_shim, libbcc
from kernelscope.agent.compile.bpf_object import LAYOUT_KINDS, Function, MapSpec, Object
from kernelscope.agent.compile.cache import Cache
from kernelscope.agent.compile.cache_key import digest
from kernelscope.agent.compile.toolchain import Toolchain
from kernelscope.agent.kernel import syscalls
from kernelscope.protocol.program import Program

if TYPE_CHECKING:
    from kernelscope.agent.compile.clang_process import Outcome, Wait
    from kernelscope.agent.compile.verifier_errors import Source
    from kernelscope.agent.source import rewriter

__all__ = ["Compiler", "Function", "MapSpec", "Object"]

_FORMAT_FIELD = re.compile(r"^\s*field:([^;]+);", re.M)
# A call of an undeclared function would compile and only fail in the verifier.
_NO_IMPLICIT = "-Werror=implicit-function-declaration"
_TRACEPOINT = re.compile(
    r"\bTRACEPOINT_PROBE\s*\(\s*(\w+)\s*,\s*(\w+)\s*\)|\btracepoint__(\w+?)__(\w+)"
)


class Compiler:
    """Created once in the agent's server; forked children inherit what `warm` has loaded."""

    def __init__(self, cache: Cache | None, tracefs: Path | None, btf_path: Path = VMLINUX) -> None:
        self.cache = cache
        self.tracefs = tracefs
        self.toolchain = Toolchain(cache, btf_path)

    @property
    def btf(self) -> Btf:
        """The kernel's types. Raises RequirementError where the kernel has none."""
        return self.toolchain.btf

    def warm(self) -> None:
        """Load the compiler, the type index and the include tree in advance; tidy the cache."""
        from kernelscope.agent.compile import (  # noqa: F401 - imported for its effect
            clang_errors,
            clang_process,
            extract,
        )

        libbcc.library()
        self.toolchain.root  # noqa: B018  created on first access
        self.toolchain.identity  # noqa: B018
        text = self._rewrite(Program("warm", "int f(void *ctx) { return 0; }")).text
        self.toolchain.headers.lean(text)  # fills the caches of patterns and types
        if self.cache:
            self.cache.tidy()

    def compile(self, program: Program, wait: Optional[Wait] = None) -> Object:
        """Return the program's bytecode. Raises CompileError, RequirementError.

        wait: waits until an fd is readable while clang works; if it raises, clang is killed.
        """
        start = time.perf_counter()
        key = self._key(program)
        stored = self.cache.get(key) if self.cache else None
        obj = bpf_object.load(stored) if stored is not None else None
        if obj is None:
            obj = self._compile(program, wait)
            if self.cache and not obj.map_fds:
                self.cache.put(key, bpf_object.dump(obj))
        obj.timings["compile_total"] = time.perf_counter() - start
        return _sized(obj, program)

    def source_lines(self, program: Program, warnings: Sequence[str], function: str) -> Source:
        """Return, for the instructions of a function, the line and text of the user's C.

        The program is compiled again for this, with clang's line information.
        """
        from kernelscope.agent.compile.verifier_errors import Source, instruction_lines
        from kernelscope.agent.source.declared_names import global_variables
        from kernelscope.protocol.c_tokens import scan

        rewritten = self._rewrite(program)
        output = self._build(rewritten, program, libbcc.DEBUG_SOURCE).output
        lines = instruction_lines(output, function, program.source, rewritten.prefix_lines)
        own = global_variables(scan(program.source))
        return Source(lines, frozenset(own), tuple(warnings))

    def _rewrite(self, program: Program, *, line_marks: bool = False) -> rewriter.Rewritten:
        from kernelscope.agent.source import rewriter

        has_rings = "BPF_FUNC_ringbuf_output" in self.btf.index.enumerators
        return rewriter.rewrite(
            program.source,
            program.prelude,
            ring_buffers=program.substitute_perf and has_rings,
            line_marks=line_marks,
        )

    def _compile(self, program: Program, wait: Optional[Wait]) -> Object:
        # Imported here: cached bytecode needs none of it, and the first run would wait for it.
        from kernelscope.agent.compile import clang_errors

        timings: dict[str, float] = {}
        with _timed(timings, "rewrite"):
            rewritten = self._rewrite(program, line_marks=True)
        with _timed(timings, "clang"):
            built = self._build(rewritten, program, wait=wait)
        if built.obj is None:
            raise clang_errors.compile_error(built.output, program.source, built.ended)
        obj = built.obj
        obj.header = built.header
        obj.timings.update(timings)
        obj.warnings = [*clang_errors.warnings(built.output, program.source), *obj.warnings]
        return obj

    def _build(
        self,
        rewritten: rewriter.Rewritten,
        program: Program,
        debug: int = 0,
        wait: Optional[Wait] = None,
    ) -> Outcome:
        """Compile with the lean header; if that lacks a name the full header has, with the full."""
        lean = self.build_with("lean", rewritten, program, debug, wait)
        if lean.obj is None and self._full_header_may_help(lean.output):
            full = self.build_with("full", rewritten, program, debug, wait)
            return full if full.obj is not None else replace(lean, header="full")
        return lean

    def _full_header_may_help(self, output: str) -> bool:
        from kernelscope.agent.compile import clang_errors

        return any(self.toolchain.knows(name) for name in clang_errors.missing_names(output))

    def build_with(
        self,
        header: str,
        rewritten: rewriter.Rewritten,
        program: Program,
        debug: int = 0,
        wait: Optional[Wait] = None,
    ) -> Outcome:
        """Compile; if only the description of the records' types fails, compile without it.

        header: "lean" or "full".
        """
        from kernelscope.agent.source import rewriter

        built = self._run_clang(header, rewritten, program, debug, wait)
        if built.obj is None and rewritten.suffix and rewriter.LAYOUT_PREFIX in built.output:
            rewritten.forget_records()
            built = self._run_clang(header, rewritten, program, debug, wait)
        return replace(built, header=header)

    def _run_clang(
        self,
        header: str,
        rewritten: rewriter.Rewritten,
        program: Program,
        debug: int,
        wait: Optional[Wait],
    ) -> Outcome:
        from kernelscope.agent.compile import clang_process
        from kernelscope.agent.compile.extract import capture

        libbcc.library()
        text = rewritten.text + rewritten.suffix
        root = self.toolchain.root
        flags = [f"-D{name}={value}" for name, value in program.defines.items()]

        with self._header_file(text, program, header) as path:
            flags += [f'-DKS_HEADER="{path}"', "-include", "ks_lost.h", _NO_IMPLICIT]

            def work() -> Object | None:
                os.environ["BCC_KERNEL_SOURCE"] = str(root)
                kallsyms_shim.cover(root / "kallsyms")
                module = libbcc.compile_text(text, flags, debug)
                return capture(module, rewritten) if module else None

            return clang_process.run(work, wait)

    @contextmanager
    def _header_file(self, text: str, program: Program, header: str) -> Iterator[str]:
        if header == "full":
            full = self.toolchain.full_header()
            content = f'#include "{full}"\n{self.toolchain.headers.undefined(text)}'
        else:
            words = text + " ".join(program.defines.values())
            content = self.toolchain.headers.lean(words, self._fields(text))
        fd = os.memfd_create("header")
        try:
            with os.fdopen(os.dup(fd), "wb") as file:
                file.write(content.encode())
            yield f"/proc/self/fd/{fd}"
        finally:
            os.close(fd)

    def _fields(self, text: str) -> str:
        """Return the fields of the tracepoints a program uses, as C declarations."""
        declared = [
            f for name in tracepoints(text) for f in _FORMAT_FIELD.findall(self._format(name))
        ]
        types = [re.sub(r"\w+(\[[^\]]*\])*$", "", field.strip()) for field in declared]
        return ";\n".join(types).replace("__data_loc", "")

    def _format(self, name: tuple[str, str]) -> str:
        if self.tracefs is None:
            return ""
        try:
            return (self.tracefs / "events" / name[0] / name[1] / "format").read_text()
        except OSError:
            return ""

    def _key(self, program: Program) -> str:
        parts = [self.toolchain.identity, program.source.encode(), program.prelude.encode()]
        parts += [f"{name}={value}".encode() for name, value in sorted(program.defines.items())]
        parts.append(str(program.substitute_perf).encode())
        names = tracepoints(program.source) + tracepoints(program.prelude)
        parts += [self._format(name).encode() for name in names]
        return digest(*parts)


def tracepoints(text: str) -> list[tuple[str, str]]:
    """Return the tracepoints for which BCC generates structs in this text."""
    return sorted({(a or c, b or d) for a, b, c, d in _TRACEPOINT.findall(text)})


def _sized(obj: Object, program: Program) -> Object:
    """Give rings, stacks, and hashes whose size the source does not state, the run's sizes."""

    def entries(spec: MapSpec) -> int:
        if spec.type == syscalls.MAP_TYPE_RINGBUF:
            return max(spec.max_entries, program.ring_bytes)
        is_hash = LAYOUT_KINDS.get(spec.type, "").endswith("hash")
        if is_hash and not spec.sized and program.max_entries:
            return program.max_entries
        if spec.type == syscalls.MAP_TYPE_STACK_TRACE:
            return max(spec.max_entries, program.max_entries or 0)
        return spec.max_entries

    sizes = {spec.name: entries(spec) for spec in obj.maps if spec.name not in obj.map_fds}
    obj.maps = tuple(replace(s, max_entries=sizes.get(s.name, s.max_entries)) for s in obj.maps)
    obj.layouts = tuple(
        replace(item, max_entries=sizes.get(item.table, item.max_entries)) for item in obj.layouts
    )
    return obj


@contextmanager
def _timed(timings: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    timings[name] = time.perf_counter() - start
