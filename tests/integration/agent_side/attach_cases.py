"""Count the work of a subject process in the kernel; run by agent_python, with the agent's code.

The BPF program is put together by hand: it adds 1 to an array map. `number` makes it count only
the system call of that number, which it finds as a KS_PARAM.
"""

from __future__ import annotations

import ctypes
import gc
import json
import mmap
import os
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bpf_programs import FP, R0, R1, R2, call, copy, end, load_map, mov, op  # type: ignore[import-not-found]

from kernelscope.agent.attach import attach, bytecode, hook_availability, loader
from kernelscope.agent.attach import usdt_arguments as usdt
from kernelscope.agent.attach.kinds import ATTACHERS
from kernelscope.agent.attach.kinds.base import Attached, Attacher
from kernelscope.agent.attach.kinds.kernel_view import KernelView
from kernelscope.agent.compile.compiler import Compiler
from kernelscope.agent.kernel import mounts, syscalls
from kernelscope.agent.kernel.process import private_tracefs
from kernelscope.errors import KernelScopeError
from kernelscope.protocol import hook_kinds, hook_spec
from kernelscope.protocol.hook_grammar import ParsedHook
from kernelscope.protocol.hook_kinds import HookKind
from kernelscope.protocol.program import Filters, Hook, Program

TRACEFS = Path("/sys/kernel/tracing")
WORK = 23
_LOOKUP = 1


@dataclass(frozen=True)
class Map:
    name: str
    type: int = syscalls.MAP_TYPE_ARRAY
    key_size: int = 4
    value_size: int = 8
    max_entries: int = 1
    flags: int = 0
    sized: bool = True


@dataclass(frozen=True)
class Function:
    name: str
    code: bytes
    maps: tuple[tuple[int, str], ...]


@dataclass
class Object:
    """What the compiler would hand to the loader."""

    functions: tuple[Function, ...]
    maps: tuple[Map, ...] = (Map("hits"),)
    params: dict[str, int] = field(default_factory=lambda: {"number": 7})
    license: str = "GPL"
    kernel_version: int = 0
    map_fds: dict[str, int] = field(default_factory=dict)


def counting(name: str = "count", *, number: bool = False) -> Function:
    """A program that adds 1, where `number` is asked for only if ctx[1] equals the parameter."""
    wanted = bytecode.PARAM_MAGIC << 16 | 7
    low = struct.unpack("<i", struct.pack("<I", wanted & 0xFFFFFFFF))[0]
    test = op(0x79, R2, R1, 8) + op(0x18, R1, imm=low) + op(0, imm=wanted >> 32) if number else b""
    add = mov(R1, 1) + op(0xDB, R0, R1)  # lock *(u64 *)r0 += r1
    find = op(0x62, FP, off=-4) + load_map(R1, 0) + copy(R2, FP, plus=-4) + call(_LOOKUP)
    body = find + op(0x15, R0, off=len(add) // 8) + add
    skip = op(0x5D, R1, R2, off=len(body) // 8) if number else b""
    place = (len(test) + len(skip)) // 8 + 1
    return Function(name, test + skip + body + end(), ((place, "hits"),))


def read_hits(fd: int, index: int = 0) -> int:
    key, value = bytearray(index.to_bytes(4, "little")), bytearray(8)
    pointers = syscalls.address(key), syscalls.address(value)
    syscalls.bpf(syscalls.MAP_LOOKUP_ELEM, struct.pack("=IIQQQ", fd, 0, *pointers, 0))
    return int.from_bytes(value, "little")


def tracing(program: Program, *, number: bool = False) -> tuple[loader.Loaded, Any]:
    view = KernelView(TRACEFS, program.target_pid)
    bindings = hook_availability.resolve(program.hooks, view)
    functions = tuple(counting(name, number=number) for name in {h.function for h, _ in bindings})
    loaded = loader.load(Object(functions), program, bindings, os.getpid())
    return loaded, attach.attach(loaded, bindings, view)


class Subject:
    """A forked process that does its work on request."""

    def __init__(self, work: Callable[[], Any], prepare: Callable[[], Any] = lambda: None) -> None:
        self._go = os.pipe()
        self._done = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            prepare()
            os.write(self._done[1], b"0\n")
            os.read(self._go[0], 1)
            os.write(self._done[1], f"{work() or 0}\n".encode())
            signal.pause()
        os.read(self._done[0], 2)

    def run(self) -> float:
        """Let it work; return what its work returned."""
        os.write(self._go[1], b"x")
        return float(os.read(self._done[0], 64))

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@contextmanager
def subject(work: Callable[[], Any], prepare: Callable[[], Any] = lambda: None) -> Iterator[Any]:
    started = Subject(work, prepare)
    try:
        yield started
    finally:
        started.end()


# --- what subjects do ----------------------------------------------------------------------------


def call_getppid() -> None:
    for _ in range(WORK):
        os.getppid()


def collect_garbage() -> None:
    for _ in range(WORK):
        gc.collect()


def burn() -> float:
    """Use the CPU for 0.4 s of its time; return how much it was."""
    began = time.process_time()
    while time.process_time() - began < 0.4:
        pass
    return time.process_time() - began


def touch_pages() -> float:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    area = mmap.mmap(-1, 499 * mmap.PAGESIZE)
    area.madvise(mmap.MADV_NOHUGEPAGE)
    for page in range(499):
        area[page * mmap.PAGESIZE] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def call_named(name: str) -> None:
    Path("/proc/self/comm").write_text(name)
    call_getppid()


WORKS = {"getppid": call_getppid, "gc": collect_garbage, "burn": burn, "pages": touch_pages}


# --- what the tests ask --------------------------------------------------------------------------


def answer(function: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Call one of the functions below, with tracefs mounted for this process alone."""
    private_tracefs()
    try:
        return {"result": globals()[function](**arguments)}
    except KernelScopeError as error:
        return {"error": error.to_json()}


def count(spec: str, work: str = "getppid", number: int | None = None, by: str = "pid") -> Any:
    """Return how often the hook fired for a subject, and what the subject's work returned.

    by: "pid" filters by its process id, "target" traces its address space alone, "pid target"
    does so by the hook's own "pid:N" (spec has {pid}).
    """
    with subject(WORKS[work], gc.disable) as traced:
        program = Program(
            "test",
            "",
            hooks=(Hook("count", (spec.format(pid=traced.pid),)),),
            params={"number": number or 0},
            filters=Filters(pid=traced.pid) if by == "pid" else Filters(),
            target_pid=traced.pid if by == "target" else None,
        )
        loaded, attached = tracing(program, number=number is not None)
        result = traced.run()
        attach.detach(attached)
        return [read_hits(loaded.map_fds["hits"]), result]


def count_filtered(filters: dict[str, Any], comm: str = "ks-subject", uid: int = 0) -> int:
    """Two subjects do the same; only one of them has the name and the uid."""

    def prepare() -> None:
        os.setresuid(uid, uid, uid)

    with subject(lambda: call_named(comm)) as other, subject(call_getppid, prepare) as by_uid:
        hook = Hook("count", ("tracepoint:syscalls:sys_enter_getppid",))
        program = Program("test", "", hooks=(hook,), filters=Filters(**filters))
        loaded, _ = tracing(program)
        other.run()
        by_uid.run()
        return read_hits(loaded.map_fds["hits"])


def count_excluded(spec: str) -> dict[str, int]:
    """Two subjects of one name, one of which is to be left out."""
    with (
        subject(lambda: call_named("ks-pair")) as left_out,
        subject(lambda: call_named("ks-pair")) as kept,
    ):
        counts = {}
        program = Program(
            "test",
            "",
            hooks=(Hook("count", (spec,)),),
            filters=Filters(comm="ks-pair"),
            exclude=(left_out.pid,),
        )
        loaded, _ = tracing(program)
        left_out.run()
        counts["left out"] = read_hits(loaded.map_fds["hits"])
        kept.run()
        counts["both"] = read_hits(loaded.map_fds["hits"])
        return counts


def count_in_other_mounts(folder: str) -> int:
    """The subject alone sees the library that is traced: it is on a mount of its own."""
    library = f"{folder}/libprime.so"
    libc = os.path.realpath("/lib/x86_64-linux-gnu/libc.so.6")

    def prepare() -> None:
        mounts.unshare_mounts()
        mounts.mount("tmpfs", folder, "tmpfs")
        shutil.copy(libc, library)

    def work() -> None:
        getppid = ctypes.CDLL(library).getppid
        for _ in range(WORK):
            getppid()

    with subject(work, prepare) as traced:
        hook = Hook("count", (f"uprobe:{library}:getppid",))
        program = Program("test", "", hooks=(hook,), target_pid=traced.pid)
        loaded, _ = tracing(program)
        traced.run()
        return read_hits(loaded.map_fds["hits"])


def ticks() -> int:
    """Return how often interval:ms:20 fires while 0.5 s of the wall clock pass."""
    program = Program(
        "test", "", hooks=(Hook("count", ("interval:ms:20",)),), filters=Filters(pid=1)
    )
    loaded, attached = tracing(program)
    time.sleep(0.5)
    attach.detach(attached)
    return read_hits(loaded.map_fds["hits"])


def two_kinds() -> dict[str, Any]:
    """Bind one function to unlike hooks: a tracepoint and a uprobe of the same call."""
    specs = ("tracepoint:syscalls:sys_enter_getppid", "uprobe:c:getppid", "uprobe:c:getppid")
    with subject(call_getppid) as traced:
        program = Program(
            "test",
            "",
            hooks=tuple(Hook("count", (spec,)) for spec in specs),
            filters=Filters(pid=traced.pid),
        )
        loaded, attached = tracing(program)
        traced.run()
        return {
            "hits": read_hits(loaded.map_fds["hits"]),
            "programs": list(loaded.programs),
            "attached": [item.spec for item in attached],
        }


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def failing_attach() -> dict[str, Any]:
    """Attach a good hook and one whose process is gone; return what is left of it."""
    with subject(call_getppid) as dead:
        specs = ("tracepoint:syscalls:sys_enter_getppid", f"uprobe:pid:{dead.pid}:getppid")
        bindings = [(Hook("count", (spec,)), hook_spec.parse(spec)) for spec in specs]
    program = Program("test", "")
    loaded = loader.load(Object((counting(),)), program, bindings, os.getpid())
    before = open_files()
    view = KernelView(TRACEFS)
    try:
        attach.attach(loaded, bindings, view)
    except KernelScopeError as error:
        return {
            "error": error.to_json(),
            "leaked": len(list(Path("/proc/self/fd").iterdir())) - before,
        }
    return {}


def agrees(spec: str) -> dict[str, Any]:
    """Return why_not's answer, and what attaching itself said."""
    view = KernelView(TRACEFS)
    reason = hook_availability.why_not(spec, view)
    bindings = [(Hook("count", (spec,)), hook_spec.parse(spec))]
    program = Program("test", "")
    try:
        loaded = loader.load(Object((counting(),)), program, bindings, os.getpid())
        attach.attach(loaded, bindings, view)
    except (KernelScopeError, OSError) as error:
        return {"why_not": reason, "attach": str(error)}
    return {"why_not": reason, "attach": None}


def why_not(spec: str) -> str | None:
    return hook_availability.why_not(spec, KernelView(TRACEFS))


def resolve(any_of: list[str], optional: bool = False) -> list[str]:
    view = KernelView(TRACEFS)
    found = hook_availability.resolve([Hook("count", tuple(any_of), optional)], view)
    return [parsed.spec for _, parsed in found]


def listing(kind: str, prefix: str = "", target: str = "") -> list[str]:
    return hook_availability.listing(kind, prefix, target, KernelView(TRACEFS))


CGROUP = Path("/sys/fs/cgroup/unified")


def attach_own_kind() -> int:
    """Add a kind of hook, attach a program to it, and count the sockets opened meanwhile."""
    create_hook, verdict = 2, 1  # enum bpf_attach_type: CGROUP_INET_SOCK_CREATE; 1 allows it

    def attach_to_cgroup(prog_fd: int, hook: ParsedHook, _: KernelView) -> Attached:
        folder = os.open(hook.name, os.O_RDONLY)
        try:
            return Attached((syscalls.link_create(prog_fd, folder, create_hook),))
        finally:
            os.close(folder)

    def parse(spec: str, kind: str, rest: str) -> ParsedHook:
        return ParsedHook(kind, spec, name=rest)

    hook_kinds.KINDS["sock_create"] = HookKind(
        "sock_create", parse, "sock_create:/sys/fs/cgroup", filters="none"
    )
    ATTACHERS["sock_create"] = Attacher(
        9,  # BPF_PROG_TYPE_CGROUP_SOCK
        attach_to_cgroup,
        lambda *_: None,
        lambda *_: (),
        attach_type=create_hook,
        verdict=verdict,
    )
    root = CGROUP if CGROUP.is_dir() else Path("/sys/fs/cgroup")
    line = next(x for x in Path("/proc/self/cgroup").read_text().splitlines() if x[:3] == "0::")
    own = root / line[4:] / "kernelscope-own-kind"
    own.mkdir()
    (own / "cgroup.procs").write_text("0")  # so that no other sockets are counted
    try:
        loaded, attached = tracing(
            Program("test", "", hooks=(Hook("count", (f"sock_create:{own}",)),))
        )
        for _ in range(WORK):
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
        attach.detach(attached).join()
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
        return read_hits(loaded.map_fds["hits"])
    finally:
        (own.parent / "cgroup.procs").write_text("0")
        own.rmdir()


def swapped_file(looked_up: str, other: str, link: str) -> list[int]:
    """Look a symbol up by a link, point the link elsewhere, attach; return whose calls count.

    The files are programs that call their function `work` and end.
    """
    Path(link).symlink_to(looked_up)
    hook = Hook("count", (f"uprobe:{link}:work",))
    view = KernelView(TRACEFS)
    bindings = hook_availability.resolve([hook], view)
    Path(link).unlink()
    Path(link).symlink_to(other)
    program = Program("test", "", hooks=(hook,))
    loaded = loader.load(Object((counting(),)), program, bindings, os.getpid())
    attached = attach.attach(loaded, bindings, view)
    counts = []
    for path in (looked_up, other):
        before = read_hits(loaded.map_fds["hits"])
        subprocess.run([path], check=True)
        counts.append(read_hits(loaded.map_fds["hits"]) - before)
    attach.detach(attached).join()
    return counts


def load_while_stopped(loads: int) -> list[str]:
    """Load a program that takes long to verify in a process that is stopped and continued."""
    again = op(0x07, R0, imm=1) + op(0xA5, R0, off=-2, imm=3_001)  # r0 += 1; while r0 < 3001
    code = mov(R0, 0) + again + end()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        failed = []
        for _ in range(loads):
            try:
                os.close(syscalls.prog_load(syscalls.PROG_TYPE_RAW_TRACEPOINT, code)[0])
            except OSError as error:
                failed.append(str(error))
        os.write(write, json.dumps(failed).encode())
        os._exit(0)
    os.close(write)
    while not select.select([read], [], [], 0.05)[0]:
        os.kill(pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGCONT)
    failures: list[str] = json.loads(os.read(read, 1 << 16))
    os.waitpid(pid, 0)
    return failures


def refused_program() -> None:
    """Load a program that reads a register that nobody has written."""
    code = copy(R0, 8) + op(0x95)
    hook = Hook("count", ("rawtracepoint:sys_enter",))
    bindings = [(hook, hook_spec.parse(hook.any_of[0]))]
    loader.load(Object((Function("count", code, ()),)), Program("t", ""), bindings, os.getpid())


def usdt_arguments() -> dict[str, int]:
    """Count a subject's garbage collections by generation, which is the probe's argument."""

    def work() -> None:
        for generation, times in enumerate((7, 5, 3)):
            for _ in range(times):
                gc.collect(generation)

    source = """
        BPF_ARRAY(hits, u64, 4);
        int on_gc(struct pt_regs *ctx) {
            int generation = 3;
            bpf_usdt_readarg(1, ctx, &generation);
            hits.increment(generation);
            return 0;
        }
    """
    with subject(work, gc.disable) as traced:
        hook = Hook("on_gc", ("usdt:/usr/bin/python3:gc__start",))
        filters = Filters(pid=traced.pid)
        view = KernelView(TRACEFS)
        program = usdt.prepare(Program("test", source, hooks=(hook,), filters=filters), view)
        obj = Compiler(None, TRACEFS).compile(program)
        bindings = hook_availability.resolve(program.hooks, view)
        loaded = loader.load(obj, program, bindings, os.getpid())
        attached = attach.attach(loaded, bindings, view)
        traced.run()
        attach.detach(attached)
        return {str(n): read_hits(loaded.map_fds["hits"], n) for n in range(4)}


def made_maps(maps: list[dict[str, Any]]) -> dict[str, int]:
    """Make maps and return the sizes that the kernel says they have."""
    obj = Object((), maps=tuple(Map(**fields) for fields in maps))
    fds = loader.create_maps(obj)
    return {name: syscalls.map_info(fd).max_entries for name, fd in fds.items()}
