"""What test_compile.py runs under the agent's interpreter."""

from __future__ import annotations

import atexit
import os
import random
import select
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from kernelscope.agent.attach import bytecode
from kernelscope.agent.btf import types as btf
from kernelscope.agent.btf.c_writer import Emitter
from kernelscope.agent.compile import clang_process
from kernelscope.agent.compile.bpf_object import Object
from kernelscope.agent.compile.cache import Cache
from kernelscope.agent.compile.compiler import Compiler
from kernelscope.agent.compile.verifier_errors import verifier_error
from kernelscope.agent.kernel import process, syscalls
from kernelscope.errors import KernelScopeError
from kernelscope.protocol.program import Program


def compiler(folder: str | None = None, types: Path = btf.VMLINUX) -> Compiler:
    cache = Cache(Path(folder or _folder()) / "cache")
    return Compiler(cache, process.private_tracefs(), types)


def _folder() -> str:
    folder = tempfile.mkdtemp(prefix="kernelscope-test-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def program(source: str, **more: Any) -> Program:
    return Program(**{"name": "test", "source": source, **more})


def with_both_headers(source: str, prelude: str = "") -> list[Any]:
    made = compiler()
    asked = program(source, prelude=prelude)
    found = []
    for header in ("lean", "full"):
        built = made.build_with(header, made._rewrite(asked), asked)
        if built.obj is None:
            raise AssertionError(built.output)
        zeros = {spec.name: 0 for spec in built.obj.maps}
        code = [(f.name, bytecode.with_maps(f.code, f.maps, zeros)) for f in built.obj.functions]
        found.append((code, built.obj.layouts))
    return [found[0] == found[1], len(found[0][0])]


def second_compilation(source: str) -> dict[str, Any]:
    folder = _folder()
    child = os.fork()
    if child == 0:
        compiler(folder).compile(program(source))
        os._exit(0)
    os.waitpid(child, 0)
    again = compiler(folder).compile(program(source, ring_bytes=1 << 20))
    return {
        "cached": again.cached,
        "libbcc_loaded": "libbcc.so" in Path("/proc/self/maps").read_text(),
        "ring_bytes": again.layouts[0].max_entries,
    }


def around_damage(source: str) -> dict[str, bool]:
    made = compiler()
    first = made.compile(program(source))
    for path in made.cache.folder.glob("*.json"):
        path.write_bytes(path.read_bytes()[:-7] + b"garbage")
    second = made.compile(program(source))
    then = made.compile(program(source))
    return {"first": first.cached, "after_damage": second.cached, "then": then.cached}


def cached_after_change(source: str, change: dict[str, Any]) -> bool:
    made = compiler()
    made.compile(program(source))
    return made.compile(program(**{"source": source, **change})).cached


def refusal(source: str, types: str = str(btf.VMLINUX)) -> dict[str, Any]:
    try:
        compiler(types=Path(types)).compile(program(source, prelude="#define A 1\n"))
    except KernelScopeError as error:
        return error.to_json()
    raise AssertionError("it compiled")


def _nested_macros(depth: int) -> str:
    """C whose expansion doubles with every level."""
    lines = ["#define M0 1"]
    lines += [f"#define M{i} M{i - 1} + M{i - 1}" for i in range(1, depth + 1)]
    return "\n".join([*lines, f"int f(void *ctx) {{ return M{depth}; }}"])


def given_up() -> dict[str, Any]:
    def wait(fd: int) -> None:
        select.select([fd], [], [], 0.3)
        raise ConnectionResetError

    raised = ""
    try:
        compiler().compile(program(_nested_macros(26)), wait)
    except ConnectionResetError as error:
        raised = type(error).__name__
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    return {"raised": raised, "children": len(path.read_text().split())}


def endless_macros() -> dict[str, Any]:
    clang_process.MOST_CPU_S = 1
    return refusal(_nested_macros(26))


def large_macros() -> dict[str, Any]:
    clang_process.MOST_MEMORY = 1 << 30
    return refusal(_nested_macros(26))


def refused(source: str) -> list[str]:
    """What the verifier says of each function that it does not load."""
    return [log for _, log in _refusals(compiler().compile(program(source)))]


def _refusals(obj: Object) -> list[tuple[str, str]]:
    fds = {
        s.name: syscalls.map_create(s.type, s.key_size, s.value_size, s.max_entries, s.flags)
        for s in obj.maps
    }
    found = []
    for function in obj.functions:
        code = bytecode.with_maps(function.code, function.maps, fds)
        options = {"log_level": 1, "log_size": 1 << 20}
        try:
            syscalls.prog_load(syscalls.PROG_TYPE_TRACEPOINT, code, obj.license, **options)
        except syscalls.ProgramLoadError as error:
            found.append((function.name, error.log))
    return found


def value_fields(source: str) -> list[str]:
    """The names of the fields in the values of the first table, [] without one."""
    layouts = compiler().compile(program(source)).layouts
    return [field.name for field in layouts[0].value] if layouts else []


def verifier_refusal(source: str) -> dict[str, Any]:
    made = compiler()
    obj = made.compile(program(source))
    ((function, log),) = _refusals(obj)
    lines = partial(made.source_lines, program(source), obj.warnings)
    return verifier_error(function, log, lines).to_json()


def record_places(source: str) -> list[Any]:
    layout = compiler().compile(program(source)).layouts[0]
    return [layout.record_size, {f.name: _place(f) for f in layout.value}]


def _place(field: Any) -> list[int]:
    return [field.offset, field.size, field.bit_offset, field.bits]


def random_structs(seed: int, count: int) -> str:
    """C text of some of the kernel's structs with some of their members, and its claims."""
    types = btf.Btf(btf.read())
    choice = random.Random(seed)
    records = [i for i in range(1, len(types)) if _is_struct(types, i)]
    chosen = choice.sample(records, count)
    wanted = {m.name for i in chosen for m in types.members(i) if choice.random() < 0.3}
    emitter = Emitter(types, wanted.__contains__)
    emitter.define(chosen)
    written = [i for i, state in emitter.state.items() if state == 2 and _is_struct(types, i)]
    return "".join(emitter.out) + "\n".join(c for i in written for c in _claims(emitter, i))


def _is_struct(types: btf.Btf, number: int) -> bool:
    record = types.type(number)
    return record.kind in btf.RECORDS and record.name != 0 and record.length > 0


def _claims(emitter: Emitter, number: int) -> list[str]:
    record = emitter.btf.type(number)
    name = f"{'union' if record.kind == btf.UNION else 'struct'} {emitter.tag(number)}"
    return [
        f'_Static_assert(sizeof({name}) == {record.size}, "{name}");',
        *(
            f'_Static_assert(__builtin_offsetof({name}, {m.name}) == {m.bit_offset // 8}, "");'
            for m in emitter.kept(number)
            if m.name and not m.bits
        ),
    ]


def symbols_around(source: str) -> list[int]:
    before = _symbols()
    compiler().compile(program(source))
    return [before, _symbols()]


def _symbols() -> int:
    """Count the kernel's symbols but for those of BPF programs, which come and go."""
    lines = Path("/proc/kallsyms").read_text().splitlines()
    return sum(not line.endswith("[bpf]") for line in lines)
