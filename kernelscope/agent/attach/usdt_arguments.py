"""Arguments of USDT probes: the C that `bpf_usdt_readarg` stands for.

bcc's rewriter turns `bpf_usdt_readarg(N, ctx, &x)` in a function f into a call of _bpf_readarg_f_N,
which it writes only for probes without a semaphore, or of one process. The C written here
serves every process: a probe's places differ in the part of their address that does not
depend on where the program was loaded.

The notes' grammar is the assembler's: "8@%rdi", "-4@112(%rsp)", "8@$5"; "8@x0", "-4@[sp, 60]"
(https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation).
"""

from __future__ import annotations

import dataclasses
import platform
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from kernelscope.agent.attach import user_probe
from kernelscope.agent.attach.kinds.kernel_view import KernelView
from kernelscope.agent.kernel.elf import UsdtNote
from kernelscope.errors import AttachError, TargetError
from kernelscope.protocol import hook_spec
from kernelscope.protocol.hook_grammar import ParsedHook
from kernelscope.protocol.program import Program

_READS_ARGUMENTS = "bpf_usdt_readarg"
_PAGE_MASK = 0xFFF  # the smallest page: a load moves addresses by a multiple of it
_ARGUMENT = re.compile(r"(-?[1248])@(\[[^\]]*\]|\S+)")
_CONSTANT = re.compile(r"[$#]?(-?(?:0x[0-9a-fA-F]+|\d+))\Z")
_X86_MEMORY = re.compile(r"(-?\d*)\(%(\w+)(?:,%(\w+)(?:,([1248]))?)?\)\Z")
_ARM_MEMORY = re.compile(r"\[(\w+)(?:, *#?(-?\d+))?\]\Z")
_X86_NAMED = re.compile(r"[re]?(ax|bx|cx|dx|si|di|bp|sp|ip)\Z")
_X86_LOW_BYTE = re.compile(r"([abcd]|si|di|bp|sp)l\Z")
_X86_NUMBERED = re.compile(r"(r(?:8|9|1[0-5]))[dwb]?\Z")
_FUNCTION = """
static __always_inline int _bpf_readarg_{function}_{number}(
    struct pt_regs *ctx, void *dest, size_t len)
{{
  u64 place, value = 0;
  switch (PT_REGS_IP(ctx) & {mask:#x}) {{
{cases}
  default: return -1;
  }}
  if (len == 8) *(u64 *)dest = value;
  else if (len == 4) *(u32 *)dest = value;
  else if (len == 2) *(u16 *)dest = value;
  else if (len == 1) *(u8 *)dest = value;
  else return -1;
  return 0;
}}
"""


@dataclass(frozen=True)
class Argument:
    """One argument: `size` bytes (negative if signed) and C for its value or its place."""

    size: int
    value: str = ""
    place: str = ""

    def reading(self) -> str:
        """Return C that puts the argument into `value`."""
        kind = f"{'s' if self.size < 0 else 'u'}{abs(self.size) * 8}"
        if not self.place:
            return f"value = ({kind})({self.value});"
        return (
            f"{{ {kind} read = 0; place = {self.place};"
            " bpf_probe_read_user(&read, sizeof(read), (void *)place); value = read; }"
        )


def prepare(program: Program, view: KernelView) -> Program:
    """Return the program with C in its prelude that reads its USDT probes' arguments.

    A probe that is not found is left for `hook_availability.resolve` to report. Raises AttachError
    where the place of an argument is ambiguous.
    """
    if _READS_ARGUMENTS not in program.source:
        return program
    notes: dict[str, list[UsdtNote]] = {}
    for hook in program.hooks:
        parsed = [hook_spec.parse(spec) for spec in hook.any_of]
        probes = [p for p in parsed if p.kind == "usdt"]
        notes.setdefault(hook.function, []).extend(_first_found(probes, view))
    text = "".join(arguments_text(function, found) for function, found in notes.items())
    return dataclasses.replace(program, prelude=f"{program.prelude}\n{text}") if text else program


def _first_found(probes: Sequence[ParsedHook], view: KernelView) -> list[UsdtNote]:
    for probe in probes:
        with suppress(AttachError, TargetError):
            place = user_probe.places(probe, view.files, view.target_pid)[0]
            return user_probe.notes_of(place.file, probe)
    return []


def arguments_text(function: str, notes: Sequence[UsdtNote]) -> str:
    """Return C functions that read each argument of the probes that `function` is attached to."""
    parsed = [(note, arguments(note.arguments)) for note in notes]
    count = min((len(found) for _, found in parsed), default=0)
    return "".join(_reader(function, number, parsed) for number in range(1, count + 1))


def _reader(
    function: str, number: int, parsed: Sequence[tuple[UsdtNote, list[Argument | None]]]
) -> str:
    cases: dict[int, str] = {}
    for note, found in parsed:
        argument = found[number - 1]
        if argument is None:
            return ""  # reading it is then a compile error, reading the others is not
        place, reading = note.offset & _PAGE_MASK, argument.reading()
        if cases.setdefault(place, reading) != reading:
            raise AttachError(
                f"argument {number} of the USDT probe {note.name!r} cannot be read: two of its"
                " places keep it differently, and their addresses look alike",
                hint=f"Trace it without {_READS_ARGUMENTS}({number}, ...).",
                function=function,
                matches=[],
            )
    lines = "\n".join(f"  case {place:#x}: {text} break;" for place, text in cases.items())
    return _FUNCTION.format(function=function, number=number, mask=_PAGE_MASK, cases=lines)


def arguments(text: str, machine: str = platform.machine()) -> list[Argument | None]:
    """Parse a note's arguments; None for one that C cannot reach."""
    operand = _arm if machine == "aarch64" else _x86
    return [operand(int(size), where) for size, where in _ARGUMENT.findall(text)]


def _x86(size: int, text: str) -> Argument | None:
    constant = _CONSTANT.match(text)
    if constant:
        return Argument(size, value=str(int(constant[1], 0)))
    if text.startswith("%"):
        register = _x86_register(text[1:])
        return Argument(size, value=register) if register else None
    memory = _X86_MEMORY.match(text)
    if memory is None:
        return None
    base, index = _x86_register(memory[2]), _x86_register(memory[3] or "ax")
    if not base or not index or base.endswith("ip"):
        return None
    scaled = f" + {index} * {memory[4] or 1}" if memory[3] else ""
    return Argument(size, place=f"{base} + ({memory[1] or 0}){scaled}")


def _x86_register(name: str) -> str:
    for pattern in (_X86_NUMBERED, _X86_NAMED):
        match = pattern.match(name)
        if match:
            return f"ctx->{match[1]}"
    low = _X86_LOW_BYTE.match(name)
    return f"ctx->{low[1] if len(low[1]) == 2 else low[1] + 'x'}" if low else ""


def _arm(size: int, text: str) -> Argument | None:
    constant = _CONSTANT.match(text)
    if constant:
        return Argument(size, value=str(int(constant[1], 0)))
    memory = _ARM_MEMORY.match(text)
    register = _arm_register(memory[1] if memory else text)
    if not register:
        return None
    if memory:
        return Argument(size, place=f"{register} + ({memory[2] or 0})")
    return Argument(size, value=register)


def _arm_register(name: str) -> str:
    if name == "sp":
        return "ctx->sp"
    match = re.match(r"[xw]([12]?\d|30)\Z", name)
    return f"ctx->regs[{match[1]}]" if match else ""
