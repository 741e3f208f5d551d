"""Small BPF programs put together by hand, and a way to run them an exact number of times.

For tests of the agent's reading side: no compiler, no hook, no other process's events. Socket
filters run under BPF_PROG_TEST_RUN, which repeats them in a loop inside the kernel.
"""

from __future__ import annotations

import struct

from kernelscope.agent.kernel import syscalls

R0, R1, R2, R3, R4, R5, R6, R7, FP = 0, 1, 2, 3, 4, 5, 6, 7, 10
LOOKUP, PRINTK, PRANDOM, PID_TGID, PERF_OUTPUT, GET_STACKID = 1, 6, 7, 14, 25, 27
RING_OUTPUT, RING_RESERVE, RING_SUBMIT, RING_DISCARD = 130, 131, 132, 133
USER_STACK = 256
_PROG_TEST_RUN = 10


# --- instructions --------------------------------------------------------------------------------


def op(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    return struct.pack("=BBhi", code, src << 4 | dst, off, imm)


def mov(dst: int, imm: int) -> bytes:
    return op(0xB7, dst, imm=imm)


def copy(dst: int, src: int, plus: int = 0) -> bytes:
    return op(0xBF, dst, src) + (op(0x07, dst, imm=plus) if plus else b"")


def masked(dst: int, mask: int) -> bytes:
    return op(0x57, dst, imm=mask)


def call(helper: int) -> bytes:
    return op(0x85, imm=helper)


def store(base: int, off: int, src: int) -> bytes:
    return op(0x7B, base, src, off)


def load(dst: int, base: int) -> bytes:
    return op(0x79, dst, base)


def load_map(dst: int, fd: int) -> bytes:
    return op(0x18, dst, 1, imm=fd) + op(0)


def load_word(dst: int, word: bytes) -> bytes:
    low, high = struct.unpack("=ii", word.ljust(8, b"\0"))
    return op(0x18, dst, imm=low) + op(0, imm=high)


def skip_if_zero(reg: int, block: bytes) -> bytes:
    return op(0x15, reg, off=len(block) // 8) + block


def end() -> bytes:
    return mov(R0, 0) + op(0x95)


# --- parts ---------------------------------------------------------------------------------------


def numbered(counter_fd: int, size: int) -> bytes:
    """Clear the top `size` bytes of the stack and write the next number (0, 1 ...) to their start.

    The number stays in R7. R6 is kept.
    """
    clear = mov(R1, 0) + b"".join(store(FP, off, R1) for off in range(-size, 0, 8))
    count = load(R7, R0) + copy(R1, R7, plus=1) + store(R0, 0, R1)
    lookup = load_map(R1, counter_fd) + copy(R2, FP, plus=-8) + call(LOOKUP) + mov(R7, 0)
    return clear + lookup + skip_if_zero(R0, count) + store(FP, -size, R7)


def counter() -> int:
    return syscalls.map_create(syscalls.MAP_TYPE_ARRAY, 4, 8, 1)


def stack_id(stack_fd: int, flags: int, off: int) -> bytes:
    """Store the current stack's id at an offset from the frame pointer; R6 holds the context."""
    take = copy(R1, R6) + load_map(R2, stack_fd) + mov(R3, flags) + call(GET_STACKID)
    return take + store(FP, off, R0)


def ring_output(ring_fd: int, size: int) -> bytes:
    place = load_map(R1, ring_fd) + copy(R2, FP, plus=-size)
    return place + mov(R3, size) + mov(R4, 0) + call(RING_OUTPUT)


# --- programs ------------------------------------------------------------------------------------


def equal_records(ring_fd: int, counter_fd: int) -> bytes:
    """40-byte ring records that begin with their number."""
    return numbered(counter_fd, 40) + ring_output(ring_fd, 40) + end()


def mixed_records(ring_fd: int, counter_fd: int) -> bytes:
    """Ring records of 8 to 39 bytes, at random, that begin with their number."""
    length = call(PRANDOM) + copy(R3, R0) + masked(R3, 31) + op(0x07, R3, imm=8)
    place = load_map(R1, ring_fd) + copy(R2, FP, plus=-48) + mov(R4, 0)
    return numbered(counter_fd, 48) + length + place + call(RING_OUTPUT) + end()


def discarded_records(ring_fd: int, counter_fd: int) -> bytes:
    """40-byte ring records that hold their number; the odd ones are discarded."""
    done = copy(R1, R6) + mov(R2, 0) + call(RING_SUBMIT) + end()
    dropped = copy(R1, R6) + mov(R2, 0) + call(RING_DISCARD) + end()
    odd = copy(R0, R7) + masked(R0, 1) + skip_if_zero(R0, dropped) + done
    reserve = load_map(R1, ring_fd) + mov(R2, 40) + mov(R3, 0) + call(RING_RESERVE)
    filled = skip_if_zero(R0, copy(R6, R0) + store(R6, 0, R7) + odd)
    return numbered(counter_fd, 8) + reserve + filled + end()


def perf_records(perf_fd: int, counter_fd: int) -> bytes:
    """40-byte perf records on the current CPU that begin with their number."""
    where = copy(R1, R6) + load_map(R2, perf_fd) + op(0xB4, R3, imm=-1)  # BPF_F_CURRENT_CPU
    what = copy(R4, FP, plus=-40) + mov(R5, 40)
    return copy(R6, R1) + numbered(counter_fd, 40) + where + what + call(PERF_OUTPUT) + end()


def printing(text: bytes) -> bytes:
    """bpf_trace_printk of at most 7 characters."""
    line = load_word(R1, text) + store(FP, -8, R1) + copy(R1, FP, plus=-8) + mov(R2, len(text) + 1)
    return line + call(PRINTK) + end()


def stack_records(ring_fd: int, stack_fd: int) -> bytes:
    """Ring records of three u64: pid_tgid, the user stack's id and the kernel stack's."""
    stacks = stack_id(stack_fd, USER_STACK, -16) + stack_id(stack_fd, 0, -8)
    task = call(PID_TGID) + store(FP, -24, R0)
    return copy(R6, R1) + stacks + task + ring_output(ring_fd, 24) + end()


# --- running -------------------------------------------------------------------------------------


def load_program(code: bytes, kind: int = syscalls.PROG_TYPE_SOCKET_FILTER) -> int:
    try:
        return syscalls.prog_load(kind, code, name="ks_test", log_level=1, log_size=1 << 16)[0]
    except syscalls.ProgramLoadError as error:
        raise AssertionError(error.log) from error


def run(prog_fd: int, times: int) -> None:
    """Run a socket filter that many times, on this CPU, in one system call."""
    packet = bytes(64)
    numbers = (prog_fd, 0, len(packet), 0, syscalls.address(packet), 0, times, 0)
    syscalls.bpf(_PROG_TEST_RUN, struct.pack("=IIIIQQII32x", *numbers))


def run_raw(prog_fd: int) -> None:
    """Run a raw tracepoint program once, here and now."""
    syscalls.bpf(_PROG_TEST_RUN, struct.pack("=IIIIQQII32x", prog_fd, 0, 0, 0, 0, 0, 0, 0))
