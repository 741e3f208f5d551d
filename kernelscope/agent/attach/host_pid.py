"""What the machine calls a process that is known by its number in a container.

A program whose hook is about another task than the current one compares process ids itself
(`filters = "code"`), and all that it finds in the kernel are the machine's own. Inside a pid
namespace, the id that a user knows is looked up once, by an iterator over the tasks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from kernelscope.agent.attach import attach, loader
from kernelscope.agent.attach.kinds import links
from kernelscope.agent.attach.kinds.kernel_view import KernelView
from kernelscope.agent.compile.compiler import Compiler
from kernelscope.agent.kernel import maps
from kernelscope.errors import KernelScopeError, RequirementError, TargetError
from kernelscope.protocol import hook_spec
from kernelscope.protocol.program import Hook, Program

PARAM = "filter_pid"  # what the C of a probe compares with, in kernelscope.h
_MAP = "ks_found"
_HOOK = Hook("ks_find", ("iter:task",))
# A pid has a number in each namespace from the machine's own, level 0, down to its own.
_SOURCE = """
BPF_ARRAY(ks_found, u32, 1);

int ks_find(u64 *ctx)
{
    struct task_struct *task = (struct task_struct *)ctx[1];
    u32 zero = 0, inode = 0, level = 0, process;
    struct pid_namespace *space = 0;
    struct pid *pid = 0;
    int number = 0;

    if (!task || task->pid != task->tgid)
        return 0;
    process = task->tgid;
    bpf_probe_read_kernel(&pid, sizeof(pid), &task->thread_pid);
    bpf_probe_read_kernel(&level, sizeof(level), &pid->level);
    for (u32 i = 0; i < 32; i++) { /* MAX_PID_NS_LEVEL, include/linux/pid_namespace.h */
        if (i > level)
            break;
        bpf_probe_read_kernel(&space, sizeof(space), &pid->numbers[i].ns);
        bpf_probe_read_kernel(&number, sizeof(number), &pid->numbers[i].nr);
        bpf_probe_read_kernel(&inode, sizeof(inode), &space->ns.inum);
        if (inode == KS_PARAM(ks_inode) && number == KS_PARAM(ks_number))
            ks_found.update(&zero, &process);
    }
    return 0;
}
"""


def prepare(
    program: Program,
    namespace: tuple[int, int] | None,
    compiler: Callable[[], Compiler],
    view: KernelView,
) -> Program:
    """Give a program that compares process ids the machine's id instead of the namespace's.

    Raises TargetError if there is no such process, RequirementError if the kernel cannot look.
    """
    pid = program.params.get(PARAM)
    if namespace is None or not pid:
        return program
    try:
        found = _found(pid, namespace[1], compiler(), view)
    except KernelScopeError as error:
        raise RequirementError(
            f"--pid {pid}: what the machine calls this process cannot be found: {error.message}",
            hint="Run it outside the container, or give the container the machine's processes"
            " (--pid=host).",
            requirement="the machine's own pid namespace",
        ) from error
    if not found:
        raise TargetError(
            f"there is no process {pid}", hint="It may have ended.", target=f"pid:{pid}"
        )
    return replace(program, params={**program.params, PARAM: found})


def _found(pid: int, inode: int, compiler: Compiler, view: KernelView) -> int:
    params: Mapping[str, int] = {"ks_inode": inode, "ks_number": pid}
    program = Program(name="ks_find", source=_SOURCE, hooks=(_HOOK,), params=dict(params))
    obj = compiler.compile(program)
    bindings = [(_HOOK, hook_spec.parse(_HOOK.any_of[0]))]
    loaded = loader.load(obj, program, bindings, 0)
    attached = attach.attach(loaded, bindings, view)
    try:
        links.walk(attached[0].attached.fds[0], time.monotonic)
    finally:
        attach.detach(attached).join()
    value = bytearray(4)
    maps.lookup(loaded.map_fds[_MAP], bytes(4), value)
    return int.from_bytes(value, "little")
