"""Create a compiled object's maps and load its programs, each for the hook that it is bound to."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelscope.agent.attach import bytecode, task_tree
from kernelscope.agent.attach.kinds import attacher_of
from kernelscope.agent.kernel import syscalls, task_storage
from kernelscope.errors import AttachError, RunError, did_you_mean
from kernelscope.protocol import hook_kinds, hook_spec
from kernelscope.protocol.hook_grammar import ParsedHook
from kernelscope.protocol.program import Filters, Hook, Program

if TYPE_CHECKING:
    from kernelscope.agent.compile.compiler import Function, MapSpec, Object
    from kernelscope.agent.compile.verifier_errors import SourceLines

_PER_CPU = (
    syscalls.MAP_TYPE_PERCPU_HASH,
    syscalls.MAP_TYPE_PERCPU_ARRAY,
    syscalls.MAP_TYPE_LRU_PERCPU_HASH,
)
_LOG_SIZE = 16 << 20
_PID_INIT_INO = 0xEFFFFFFC  # include/linux/proc_ns.h
_LONGEST_JUMP = 32767


@dataclass
class Loaded:
    """Maps and programs in the kernel; closing the fds (or ending the process) removes them.

    map_fds: by the map's name in the C text.
    programs: fds by function; a function bound to hooks of several kinds is loaded once for each,
        and every one but the first is called "function (hook)".
    fds: the program of each binding, in the bindings' order; -1 for a match of a pattern
        that the kernel refuses.
    """

    map_fds: dict[str, int]
    programs: dict[str, int] = field(default_factory=dict)
    fds: list[int] = field(default_factory=list)


def load(
    obj: Object,
    program: Program,
    bindings: Sequence[tuple[Hook, ParsedHook]],
    agent_pid: int,
    source_lines: SourceLines | None = None,
    own_params: Sequence[Mapping[str, int]] = (),
) -> Loaded:
    """Create the maps and load each bound function.

    agent_pid and program.exclude are not traced. own_params: of each binding,
    besides program.params. What a pattern matched and the kernel refuses has the fd -1. With
    source_lines, a program that the verifier refuses is explained at its C lines.

    Raises VerifierError, AttachError (a hook's function that the source lacks, a hook that refuses)
    and RunError (a map that cannot be created).
    """
    functions = {function.name: function for function in obj.functions}
    _check_functions(bindings, list(functions))
    with suppress(OSError, ValueError):  # refused without CAP_SYS_RESOURCE; needless since 5.11
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY,) * 2)
    loaded = Loaded(create_maps(obj))
    exclude = (agent_pid, os.getpid(), *program.exclude)
    variants: dict[tuple[Any, ...], int] = {}
    for number, (hook, parsed) in enumerate(bindings):
        tree_fd = loaded.map_fds.get(task_tree.MAP) if program.filters.tree else None
        guard = b""
        if hook.function not in task_tree.FUNCTIONS:
            guard = _guard(parsed, program.filters, exclude, tree_fd)
        values = {**program.params, **(own_params[number] if own_params else {})}
        code = guard + _code(functions[hook.function], obj, values, loaded.map_fds)
        explain = partial(
            _refusal, hook=hook, parsed=parsed, source_lines=source_lines, guard=guard
        )
        try:
            target = attacher_of(parsed).target(parsed)
            key = hook.function, target, code
            if key not in variants:
                whole = _observe_only(code, parsed)
                variants[key] = _load_one(whole, target, obj, hook.function, explain)
                taken = hook.function in loaded.programs
                name = f"{hook.function} ({parsed.spec})" if taken else hook.function
                loaded.programs[name] = variants[key]
            loaded.fds.append(variants[key])
        except RunError:
            if not hook_spec.of_pattern(hook):
                raise
            loaded.fds.append(-1)
    return loaded


def _check_functions(bindings: Sequence[tuple[Hook, ParsedHook]], known: list[str]) -> None:
    for hook, parsed in bindings:
        if hook.function not in known:
            matches = did_you_mean(hook.function, known)
            names = " or ".join(matches) or ", ".join(known) or "none"
            raise AttachError(
                f"the program has no function {hook.function!r} to attach to {parsed.spec!r}",
                hint=f"Its functions: {names}. One that is declared static is not among them.",
                hook=parsed.spec,
                function=hook.function,
                matches=matches,
            )


# --- maps ----------------------------------------------------------------------------------------


def create_maps(obj: Object) -> dict[str, int]:
    """Create every map of the object and return the fds by name. Raises RunError."""
    fds = dict(obj.map_fds)
    for spec in obj.maps:
        if spec.name not in fds:
            try:
                fds[spec.name] = _create(spec)
            except OSError as error:
                raise _map_refused(spec, error) from None
    return fds


def _create(spec: MapSpec) -> int:
    if spec.type == syscalls.MAP_TYPE_TASK_STORAGE:
        return task_storage.create(spec.value_size, spec.flags, spec.name)
    sizes = (spec.type, spec.key_size, spec.value_size, spec.max_entries, spec.flags)
    return syscalls.map_create(*sizes, name=spec.name)


def map_bytes(spec: MapSpec) -> int:
    """Return about how many bytes a full map takes."""
    if spec.type == syscalls.MAP_TYPE_RINGBUF:
        return spec.max_entries
    copies = syscalls.possible_cpus() if spec.type in _PER_CPU else 1
    return spec.max_entries * (spec.key_size + copies * (spec.value_size + 7 & ~7))


def _map_refused(spec: MapSpec, error: OSError) -> RunError:
    wanted = map_bytes(spec)
    code = error.errno or 0
    reason = os.strerror(code).lower()
    hint = None
    if code in (errno.ENOMEM, errno.E2BIG):
        hint = "Make it smaller, or give the machine more memory."
    elif code == errno.EPERM:
        hint = "The agent may lack CAP_BPF, or its limit on locked memory (ulimit -l) is too low."
    elif code == errno.EINVAL and spec.type == syscalls.MAP_TYPE_TASK_STORAGE:
        hint = "Programs like this one need Linux 5.13 or newer, which keeps values for tasks."
    elif code == errno.EINVAL and spec.type == syscalls.MAP_TYPE_RINGBUF:
        hint = "A ring buffer's size is a power of two and a multiple of the page size."
    return RunError(
        f"the kernel refused the map {spec.name!r} of about {wanted:,} bytes: {reason}",
        hint=hint,
        map=spec.name,
        bytes=wanted,
        errno=code,
    )


# --- programs ------------------------------------------------------------------------------------


def _code(
    function: Function, obj: Object, params: Mapping[str, int], fds: Mapping[str, int]
) -> bytes:
    code = bytecode.with_maps(function.code, function.maps, fds)
    return bytecode.with_params(code, obj.params, params)


def _observe_only(code: bytes, hook: ParsedHook) -> bytes:
    """Return the code with the return value that lets everything pass. Raises AttachError."""
    verdict = attacher_of(hook).verdict
    if verdict is None:
        return code
    if len(code) // 8 > _LONGEST_JUMP:
        raise AttachError(
            f"the program for {hook.spec!r} has more than {_LONGEST_JUMP:,} instructions",
            hint="Do less for each event.",
            hook=hook.spec,
            matches=[],
        )
    return bytecode.with_verdict(code, verdict)


def _guard(
    hook: ParsedHook, filters: Filters, exclude: Sequence[int], tree_fd: int | None
) -> bytes:
    kind = hook_kinds.KINDS[hook.kind]
    if kind.filters == "none" and filters != Filters() and not filters.tree_in_code:
        raise AttachError(
            f"{hook.spec!r} has no process context: --pid, --comm, --uid, --cgroup and --tree"
            " cannot be used with it",
            hint="Leave them out, and test in the C what the hook gives.",
            hook=hook.spec,
            matches=[],
        )
    if kind.filters != "process":
        return b""
    left_out = exclude if hook_spec.current_is_subject(hook) else ()
    if filters.tree_in_code:
        tree_fd = None
    return bytecode.prologue(filters, left_out, pid_namespace(), tree_fd)


@lru_cache(maxsize=1)
def pid_namespace() -> tuple[int, int] | None:
    """Return the device and inode of this process's pid namespace, None for the machine's own."""
    own = Path("/proc/self/ns/pid").stat()
    return None if own.st_ino == _PID_INIT_INO else (own.st_dev, own.st_ino)


def _load_one(
    code: bytes,
    target: tuple[int, int, int],
    obj: Object,
    function: str,
    explain: Callable[[syscalls.ProgramLoadError], RunError],
) -> int:
    kind, attach_type, btf_id = target
    options: dict[str, Any] = {
        "name": function,
        "expected_attach_type": attach_type,
        "attach_btf_id": btf_id,
        "kern_version": obj.kernel_version,
    }
    # A log costs time and memory, so it is requested only after a refusal.
    with suppress(syscalls.ProgramLoadError):
        return syscalls.prog_load(kind, code, obj.license, **options)[0]
    options.update(log_level=1, log_size=_LOG_SIZE)
    try:
        return syscalls.prog_load(kind, code, obj.license, **options)[0]
    except syscalls.ProgramLoadError as error:
        raise explain(error) from None


def _refusal(
    error: syscalls.ProgramLoadError,
    hook: Hook,
    parsed: ParsedHook,
    source_lines: SourceLines | None,
    guard: bytes,
) -> RunError:
    """Return the error for a program that did not load: the verifier's reason, or the hook's."""
    code = error.errno or 0
    if error.log.strip() or code not in (errno.EPERM, errno.EACCES):
        from kernelscope.agent.compile.verifier_errors import verifier_error

        log = error.log or os.strerror(code)
        place = len(guard) // 8
        return verifier_error(hook.function, log, source_lines, place)
    if os.geteuid() == 0 and attacher_of(parsed).attach_type:
        hint = f"The agent is root: this kernel takes no {parsed.kind} programs."
    else:
        hint = "Loading programs needs CAP_BPF and CAP_PERFMON, or root."
    return AttachError(
        f"the kernel refused to load {hook.function!r} for {parsed.spec!r}: permission denied",
        hint=hint,
        hook=parsed.spec,
        function=hook.function,
        matches=[],
        errno=code,
    )
