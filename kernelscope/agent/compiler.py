"""BPF C to bytecode: through the cache, or through BCC with a header made from BTF.

What comes out is plain data: instructions, the maps they need and how to read them. The loader
makes the maps anew, so that a program from the cache and a fresh one take the same path.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kernelscope.agent import diagnostics, entry, kallsyms, kernel, libbcc, source, tree
from kernelscope.agent.btf import VMLINUX, Btf, Index
from kernelscope.agent.btf import read as read_btf
from kernelscope.agent.cache import Cache
from kernelscope.agent.header import HeaderMaker, Helpers, Macros
from kernelscope.agent.layout import fields_of, raw_bytes
from kernelscope.agent.protocol import Layout, Program
from kernelscope.agent.tokens import scan
from kernelscope.errors import CompileError, RequirementError

_TRACEFS_FIELD = re.compile(r"^\s*field:([^;]+);", re.M)
_TRACEPOINT = re.compile(
    r"\bTRACEPOINT_PROBE\s*\(\s*(\w+)\s*,\s*(\w+)\s*\)|\btracepoint__(\w+?)__(\w+)"
)
_KEEPS_FD = re.compile(r"\bbpf_(?:spin_lock|timer)\b|_PINNED\b|_PUBLIC\b|_SHARED\b|\"extern\"")
_LAYOUT_KINDS = {
    kernel.MAP_TYPE_HASH: "hash",
    kernel.MAP_TYPE_ARRAY: "array",
    kernel.MAP_TYPE_PERCPU_HASH: "percpu_hash",
    kernel.MAP_TYPE_PERCPU_ARRAY: "percpu_array",
    kernel.MAP_TYPE_LRU_HASH: "lru_hash",
    kernel.MAP_TYPE_LRU_PERCPU_HASH: "lru_percpu_hash",
    kernel.MAP_TYPE_STACK_TRACE: "stack_trace",
    kernel.MAP_TYPE_RINGBUF: "ring",
    kernel.MAP_TYPE_PERF_EVENT_ARRAY: "perf",
}
# Maps that take more than a type and sizes: the fds that BCC made are handed on.
_PLAIN_TYPES = frozenset({*_LAYOUT_KINDS, 3, 8, 11, 14, 15, 16, 17, 18, 22, 23})
_LD_IMM64, _CALL = 0x18, 0x85
_PSEUDO_MAP_FD, _PSEUDO_CALL = 1, 1


@dataclass(frozen=True)
class Function:
    """One BPF program: instructions, and which of them load which map (index, name)."""

    name: str
    code: bytes
    maps: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class MapSpec:
    """A map to make. sized: the source states how large it is."""

    name: str
    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    sized: bool


@dataclass
class Object:
    """A compiled program.

    layouts: one for each table that a user sees. rings: in the order of their slots in `ks_lost`,
    from 1 on. params: the index of each KS_PARAM. substituted: the rings that the source declares
    as perf buffers. printk: it calls bpf_trace_printk. map_fds: maps that only BCC can make.
    timings: seconds.
    """

    functions: tuple[Function, ...]
    maps: tuple[MapSpec, ...]
    layouts: tuple[Layout, ...]
    rings: tuple[str, ...] = ()
    params: dict[str, int] = field(default_factory=dict)
    license: str = "GPL"
    kernel_version: int = 0
    substituted: tuple[str, ...] = ()
    printk: bool = False
    counts_losses: bool = True
    header: str = "lean"
    cached: bool = False
    timings: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    map_fds: dict[str, int] = field(default_factory=dict)
    explain: Callable[[str, str, int], Exception] | None = None


class Compiler:
    """Made once in the agent's server; its forked children inherit what `warm` has loaded."""

    def __init__(self, cache: Cache | None, tracefs: Path | None, btf_path: Path = VMLINUX) -> None:
        self.cache = cache
        self.tracefs = tracefs
        self.btf_path = btf_path
        self._maker: HeaderMaker | None = None
        self._root: Path | None = None
        self._identity: bytes | None = None

    def warm(self) -> None:
        """Load the compiler, the type index and the include tree ahead of need."""
        libbcc.library()
        self._header_maker()
        self._tree()
        self._environment()

    def compile(self, program: Program) -> Object:
        """Return the program's bytecode. Raises CompileError, RequirementError."""
        began = time.perf_counter()
        key = self._key(program)
        stored = self.cache.get(key) if self.cache else None
        obj = entry.load(stored) if stored is not None else None
        if obj is None:
            obj = self._compile(program)
            if self.cache and not obj.map_fds:
                self.cache.put(key, entry.dump(obj))
        obj.timings["compile_total"] = time.perf_counter() - began
        return _sized(obj, program)

    def source_lines(self, program: Program, function: str) -> dict[int, tuple[int, str]]:
        """Return, for instructions of a function, the line and text of the user's C.

        The program is compiled again for this, with clang's line information.
        """
        rewritten = self._rewrite(program)
        _, said, _ = self._build(rewritten, program, libbcc.DEBUG_SOURCE)
        return diagnostics.instruction_lines(said, function, program.source, rewritten.prefix_lines)

    # --- compiling -------------------------------------------------------------------------------

    def _rewrite(self, program: Program) -> source.Rewritten:
        has_rings = "BPF_FUNC_ringbuf_output" in self._header_maker().btf.index.enumerators
        return source.rewrite(
            program.source,
            program.prelude,
            ring_buffers=program.substitute_perf and has_rings,
        )

    def _compile(self, program: Program) -> Object:
        timings: dict[str, float] = {}
        with _timed(timings, "rewrite"):
            rewritten = self._rewrite(program)
        with _timed(timings, "clang"):
            module, said, header = self._build(rewritten, program)
        if module is None:
            raise diagnostics.compile_error(said, program.source, rewritten.prefix_lines)
        with _timed(timings, "capture"):
            obj = _capture(module, rewritten)
        obj.header = header
        obj.timings.update(timings)
        obj.warnings = diagnostics.warnings(said, program.source, rewritten.prefix_lines)
        if not obj.map_fds:
            module.close()
        return obj

    def _build(
        self, rewritten: source.Rewritten, program: Program, debug: int = 0
    ) -> tuple[libbcc.Module | None, str, str]:
        """Try the lean header, then the whole one, then without the layouts of records.

        The first refusal is reported: a wider header finds no more faults in the user's text.
        """
        first = ""
        text = rewritten.text + rewritten.suffix
        for header in ("lean", "full"):
            module, said = self._run_clang(text, program, header, debug)
            if module is None and source.LAYOUT_PREFIX in said:
                rewritten.records = dict.fromkeys(rewritten.records, ("", False))
                text = rewritten.text
                module, said = self._run_clang(text, program, header, debug)
            if module is not None:
                return module, said, header
            first = said
            if not diagnostics.may_lack_types(said):
                break
        return None, first, "full"

    def _run_clang(
        self, text: str, program: Program, header: str, debug: int
    ) -> tuple[libbcc.Module | None, str]:
        maker = self._header_maker()
        if header == "lean":
            made = maker.lean(text + "".join(program.defines.values()), self._fields(text))
            path = _memory_file(made)
        else:
            path = str(self._full_header())
        flags = [f"-D{name}={value}" for name, value in program.defines.items()]
        flags += [f'-DKS_HEADER="{path}"', "-include", "ks_lost.h"]
        os.environ["BCC_KERNEL_SOURCE"] = str(self._tree())
        with kallsyms.short_list(self._tree() / "kallsyms"):
            return libbcc.compile_text(text, flags, debug)

    def _fields(self, text: str) -> str:
        """Return the fields of the tracepoints a program uses, as C declarations."""
        lines = []
        for name in _tracepoints(text):
            for declared in _TRACEFS_FIELD.findall(self._format(name)):
                lines.append(re.sub(r"\w+(\[[^\]]*\])*$", "", declared.strip()) + ";")
        return "\n".join(lines).replace("__data_loc", "")

    def _format(self, name: tuple[str, str]) -> str:
        if self.tracefs is None:
            return ""
        try:
            return (self.tracefs / "events" / name[0] / name[1] / "format").read_text()
        except OSError:
            return ""

    # --- what is made once -----------------------------------------------------------------------

    def _header_maker(self) -> HeaderMaker:
        if self._maker is None:
            self._maker = HeaderMaker(self._btf(), Macros.load(), Helpers.parse(self._helpers()))
        return self._maker

    def btf(self) -> Btf:
        """Return the kernel's types. Raises RequirementError where the kernel has no BTF."""
        return self._header_maker().btf

    def _btf(self) -> Btf:
        try:
            data = read_btf(self.btf_path)
        except OSError as error:
            raise RequirementError(
                f"the kernel's type information cannot be read: {error}",
                hint="a kernel built with CONFIG_DEBUG_INFO_BTF=y has it",
                requirement="btf",
            ) from None
        name = f"btf-{kernel_id()}-{platform.python_version()}"
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
        name = f"helpers-{_digest(_library_stamp())}"
        stored = self.cache.read(name) if self.cache else None
        if stored is not None:
            return stored.decode("latin-1")
        text = libbcc.helpers_text()
        if self.cache and text:
            self.cache.write(name, text.encode("latin-1"))
        return text

    def _tree(self) -> Path:
        if self._root is None:
            names = kallsyms.listing(self._header_maker().btf.index.enumerators)
            self._root = tree.make(self.cache, {"kallsyms": names})
        return self._root

    def _full_header(self) -> Path:
        path = self._tree() / f"full-{kernel_id()}-{_digest(_own_code())}.h"
        if not path.exists():
            temporary = path.with_suffix(f".{os.getpid()}")
            temporary.write_text(self._header_maker().full())
            temporary.replace(path)
        return path

    # --- the cache's key -------------------------------------------------------------------------

    def _environment(self) -> bytes:
        """Return what bytecode depends on besides the program: kernel, bcc, this code."""
        if self._identity is None:
            self._identity = _digest(
                kernel_id().encode(),
                _library_stamp(),
                _own_code(),
                platform.machine().encode(),
                str(kernel.possible_cpus()).encode(),
            ).encode()
        return self._identity

    def _key(self, program: Program) -> str:
        parts = [self._environment(), program.source.encode(), program.prelude.encode()]
        parts += [f"{name}={value}".encode() for name, value in sorted(program.defines.items())]
        parts.append(str(program.substitute_perf).encode())
        names = _tracepoints(program.source) + _tracepoints(program.prelude)
        parts += [self._format(name).encode() for name in names]
        return _digest(*parts)


# --- helpers ----------------------------------------------------------------------------------------


def _tracepoints(text: str) -> list[tuple[str, str]]:
    found = {(a or c, b or d) for a, b, c, d in _TRACEPOINT.findall(text)}
    return sorted(found)


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(struct.pack("<Q", len(part)) + part)
    return digest.hexdigest()[:32]


def kernel_id() -> str:
    """Return a digest of the running kernel's build."""
    try:
        notes = Path("/sys/kernel/notes").read_bytes()
    except OSError:
        notes = " ".join(os.uname()).encode()
    return _digest(notes, platform.release().encode())[:16]


def _library_stamp() -> bytes:
    path = libbcc.library_path()
    if path is None:
        return b"none"
    info = path.stat()
    return f"{path} {info.st_mtime_ns} {info.st_size}".encode()


def _own_code() -> bytes:
    folder = Path(__file__).parent
    files = [*sorted(folder.glob("*.py")), *sorted((folder / "data").iterdir())]
    return b"".join(f"{p.name}{p.stat().st_mtime_ns}{p.stat().st_size}".encode() for p in files)


def _memory_file(text: str) -> str:
    """Return a path to a file that exists in memory alone, for this process's life."""
    fd = os.memfd_create("header")
    os.write(fd, text.encode())
    return f"/proc/self/fd/{fd}"


@contextmanager
def _timed(timings: dict[str, float], name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    timings[name] = time.perf_counter() - began


def _sized(obj: Object, program: Program) -> Object:
    """Give rings and hashes without a size of their own the sizes that the run asks for."""

    def entries(spec: MapSpec) -> int:
        if spec.type == kernel.MAP_TYPE_RINGBUF:
            return max(spec.max_entries, program.ring_bytes)
        hashes = ("hash", "percpu_hash", "lru_hash", "lru_percpu_hash")
        if not spec.sized and program.max_entries and _LAYOUT_KINDS.get(spec.type) in hashes:
            return program.max_entries
        return spec.max_entries

    sizes = {spec.name: entries(spec) for spec in obj.maps if spec.name not in obj.map_fds}
    obj.maps = tuple(replace(s, max_entries=sizes.get(s.name, s.max_entries)) for s in obj.maps)
    obj.layouts = tuple(
        replace(item, max_entries=sizes.get(item.table, item.max_entries)) for item in obj.layouts
    )
    return obj


# --- what BCC made, as plain data -------------------------------------------------------------------


def _capture(module: libbcc.Module, rewritten: source.Rewritten) -> Object:
    by_fd: dict[int, str] = {}
    specs: list[MapSpec] = []
    described: dict[str, tuple[MapSpec, str, str]] = {}
    fds: dict[str, int] = {}
    for name, fd, key, leaf in module.tables():
        info = kernel.map_info(fd)
        table = rewritten.tables.get(name)
        spec = MapSpec(
            name,
            info.type,
            info.key_size,
            info.value_size,
            info.max_entries,
            info.flags,
            sized=table.sized if table else True,
        )
        by_fd[fd] = name
        described[name] = (spec, key, leaf)
        if not name.startswith(source.LAYOUT_PREFIX):
            specs.append(spec)
            if info.type not in _PLAIN_TYPES or _KEEPS_FD.search(rewritten.text):
                fds[name] = fd
    functions = [Function(n, code, _map_uses(code, by_fd)) for n, code in module.functions()]
    return Object(
        functions=tuple(functions),
        maps=tuple(specs),
        layouts=tuple(_layouts(described, rewritten)),
        rings=rewritten.rings,
        params=rewritten.params,
        license=module.license,
        kernel_version=module.kernel_version,
        substituted=rewritten.substituted,
        printk=rewritten.printk,
        counts_losses=rewritten.counts_losses,
        map_fds=fds,
    )


def _map_uses(code: bytes, names: dict[int, str]) -> tuple[tuple[int, str], ...]:
    found = []
    index = 0
    while index < len(code) // 8:
        opcode, registers, _, value = struct.unpack_from("<BBhi", code, index * 8)
        if opcode == _LD_IMM64:
            if registers >> 4 == _PSEUDO_MAP_FD:
                found.append((index, names[value]))
            index += 1
        index += 1
    return tuple(found)


def _layouts(
    described: dict[str, tuple[MapSpec, str, str]], rewritten: source.Rewritten
) -> Iterator[Layout]:
    tokens = scan(source.blank_includes(rewritten.text))
    for name, (spec, key, leaf) in described.items():
        kind = _LAYOUT_KINDS.get(spec.type)
        table = rewritten.tables.get(name)
        if kind is None or name.startswith("ks_"):
            continue
        if kind in ("ring", "perf"):
            if kind == "ring" or (table is not None and table.macro == "BPF_PERF_OUTPUT"):
                yield _record_layout(name, kind, spec, described, rewritten)
            continue
        plain = kind == "stack_trace"
        yield Layout(
            table=name,
            kind=kind,
            key=fields_of(key, spec.key_size, "key"),
            value=raw_bytes(spec.value_size, "value")
            if plain
            else fields_of(leaf, spec.value_size, "value"),
            key_size=spec.key_size,
            value_size=spec.value_size,
            histogram=source.histogram_kind(tokens, table) if table else "",
            cpus=kernel.possible_cpus() if "percpu" in kind else 0,
            max_entries=spec.max_entries,
        )


def _record_layout(
    name: str,
    kind: str,
    spec: MapSpec,
    described: dict[str, tuple[MapSpec, str, str]],
    rewritten: source.Rewritten,
) -> Layout:
    found = described.get(f"{source.LAYOUT_PREFIX}{name}")
    if found is None:
        return Layout(table=name, kind=kind, max_entries=spec.max_entries)
    shape, _, leaf = found
    return Layout(
        table=name,
        kind=kind,
        value=fields_of(leaf, shape.value_size, "value"),
        value_size=shape.value_size,
        max_entries=spec.max_entries,
        record_size=shape.value_size if rewritten.records[name][1] else 0,
    )


__all__ = ["Any", "CompileError", "Compiler", "Function", "MapSpec", "Object", "Sequence"]
