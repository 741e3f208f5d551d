"""What is done to instructions before loading; an interpreter judges what a prologue means."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelscope.agent.attach import bytecode
from kernelscope.protocol.program import Filters

BODY = struct.pack("<BBhi", 0xB7, 0, 0, 77) + struct.pack("<BBhi", 0x95, 0, 0, 0)  # return 77
CONTEXT = 0xC0
M64 = 2**64 - 1
NAMESPACE = (4, 4026532999)
TREE = 23  # the fd of the map of a tree's threads


def run(
    code: bytes,
    pid: int = 0,
    uid: int = 0,
    comm: bytes = b"",
    cgroups: tuple[int, ...] = (),
    tree: tuple[int, ...] = (),
) -> tuple[int, dict[int, int]]:
    """Interpret a prologue and BODY as the given task; return the result and the registers.

    cgroups: the ids of the task's cgroup and those above it, the root first. tree: the threads in
    the map TREE.
    """
    insns = [struct.unpack_from("<BBhi", code, place) for place in range(0, len(code), 8)]
    reg = {1: CONTEXT, 10: 512}
    stack = bytearray(b"\xa5" * 512)  # what other functions left there
    at = 0
    while True:
        opcode, registers, offset, imm = insns[at]
        dst, src = registers & 15, registers >> 4
        at += 1
        if opcode == 0x95:
            return reg[0], reg
        if opcode == 0xBF:
            reg[dst] = reg[src]
        elif opcode == 0xB7:
            reg[dst] = imm & M64
        elif opcode == 0xBC:
            reg[dst] = reg[src] & 0xFFFFFFFF
        elif opcode == 0x07:
            reg[dst] = reg[dst] + imm & M64
        elif opcode == 0x77:
            reg[dst] >>= imm
        elif opcode == 0x18:
            reg[dst] = (imm & 0xFFFFFFFF) | (insns[at][3] & 0xFFFFFFFF) << 32
            at += 1
        elif opcode == 0x61:
            reg[dst] = struct.unpack_from("<I", stack, reg[src] + offset)[0]
        elif opcode == 0x63:
            struct.pack_into("<I", stack, reg[dst] + offset, reg[src] & 0xFFFFFFFF)
        elif opcode == 0x79:
            reg[dst] = struct.unpack_from("<Q", stack, reg[src] + offset)[0]
        elif opcode == 0x7A:
            struct.pack_into("<q", stack, reg[dst] + offset, imm)
        elif opcode == 0x85:
            if imm == 16:
                stack[reg[1] : reg[1] + len(comm) + 1] = comm + b"\0"  # 6.1 writes no more
            if imm == 120:  # a task of another namespace has no id in this one
                known = pid if (reg[1], reg[2]) == NAMESPACE else 0
                struct.pack_into("<II", stack, reg[3], known + 5, known)
            level = reg.get(1, 0)
            group = cgroups[level] if level < len(cgroups) else 0
            results = {14: pid << 32 | pid + 5, 15: 1234 << 32 | uid, 16: 0, 120: 0, 123: group}
            if imm == 1:
                (thread,) = struct.unpack_from("<I", stack, reg[2])
                results[1] = 0xDEAD if reg[1] == TREE and thread in tree else 0
            result = results[imm]
            reg = {number: value for number, value in reg.items() if number > 5}
            reg[0] = result
        else:
            at += offset if jumps(opcode, reg, dst, src, imm) else 0


def jumps(opcode: int, reg: dict[int, int], dst: int, src: int, imm: int) -> bool:
    if opcode == 0x05:
        return True
    if opcode == 0x56:
        return (reg[dst] & 0xFFFFFFFF) != (imm & 0xFFFFFFFF)
    wanted = reg[src] if opcode == 0x5D else imm & M64
    equal = reg[dst] == wanted
    return equal if opcode == 0x15 else not equal


def traced(filters: Filters, exclude: tuple[int, ...] = (), **task: object) -> bool:
    code = bytecode.prologue(filters, exclude) + BODY
    result, registers = run(code, **task)  # type: ignore[arg-type]
    if result == 77 and len(code) > len(BODY):
        assert registers[1] == CONTEXT
    return result == 77


def test_without_filters_there_is_no_prologue() -> None:
    assert bytecode.prologue(Filters(), ()) == b""


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_pid_filter_keeps_one_process(wanted: int, pid: int) -> None:
    assert traced(Filters(pid=wanted), pid=wanted)
    assert traced(Filters(pid=wanted), pid=pid) == (pid == wanted)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_uid_filter_keeps_one_user(wanted: int, uid: int) -> None:
    assert traced(Filters(uid=wanted), uid=wanted)
    assert traced(Filters(uid=wanted), uid=uid) == (uid == wanted)


@given(st.binary(min_size=1, max_size=15).filter(lambda b: b"\0" not in b))
def test_name_filter_keeps_one_name(comm: bytes) -> None:
    wanted = Filters(comm="firefox")
    assert traced(wanted, comm=b"firefox")
    assert traced(wanted, comm=comm) == (comm == b"firefox")


def test_name_with_the_same_start_is_not_traced() -> None:
    assert not traced(Filters(comm="fire"), comm=b"firefox")
    assert not traced(Filters(comm="firefox-content"), comm=b"firefox")
    assert traced(Filters(comm="firefox-content"), comm=b"firefox-content")


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=64), st.integers(0, 2**31 - 1))
def test_every_excluded_process_is_skipped(exclude: list[int], pid: int) -> None:
    assert not traced(Filters(), tuple(exclude), pid=exclude[-1])
    assert traced(Filters(), tuple(exclude), pid=pid) == (pid not in exclude)


def test_cgroup_filter_keeps_a_cgroup_and_its_children() -> None:
    wanted = Filters(cgroup=2**40 + 7, cgroup_level=1)
    assert traced(wanted, cgroups=(1, 2**40 + 7))
    assert traced(wanted, cgroups=(1, 2**40 + 7, 9))
    assert not traced(wanted, cgroups=(1,))
    assert not traced(wanted, cgroups=(1, 7))
    assert not traced(wanted, cgroups=(1, 9, 2**40 + 7))


def test_tree_filter_keeps_the_threads_in_its_map() -> None:
    code = bytecode.prologue(Filters(tree=7), (), tree_fd=TREE) + BODY
    assert run(code, pid=7, tree=(12,))[0] == 77  # a task's thread is its pid + 5 here
    assert run(code, pid=7, tree=(7, 13))[0] == 0
    both = bytecode.prologue(Filters(tree=7, uid=3), (), tree_fd=TREE) + BODY
    assert [run(both, pid=7, uid=uid, tree=(12,))[0] for uid in (3, 4)] == [77, 0]


def test_process_ids_can_be_of_a_namespace() -> None:
    code = bytecode.prologue(Filters(pid=7), (), NAMESPACE) + BODY
    assert [run(code, pid=pid)[0] for pid in (7, 8)] == [77, 0]
    elsewhere = bytecode.prologue(Filters(pid=7), (), (4, 1)) + BODY
    assert run(elsewhere, pid=7)[0] == 0
    excluded = bytecode.prologue(Filters(), (7,), NAMESPACE) + BODY
    assert [run(excluded, pid=pid)[0] for pid in (7, 8)] == [0, 77]


def test_all_filters_must_agree() -> None:
    filters = Filters(pid=7, uid=1000, comm="sh")
    task = {"pid": 7, "uid": 1000, "comm": b"sh"}
    assert traced(filters, (8, 9), **task)
    for change in ({"pid": 8}, {"uid": 0}, {"comm": b"bash"}):
        assert not traced(filters, (8, 9), **{**task, **change})
    assert not traced(filters, (7,), **task)


# --- maps and parameters -------------------------------------------------------------------------


def wide(dst: int, value: int, src: int = 0) -> bytes:
    low, high = value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF
    return struct.pack("<BBhIBBhI", 0x18, dst | src << 4, 0, low, 0, 0, 0, high)


def magic(index: int) -> int:
    return bytecode.PARAM_MAGIC << 16 | index


@given(st.integers(-(2**63), 2**64 - 1))
def test_parameter_becomes_its_value(value: int) -> None:
    code = wide(3, magic(0)) + wide(4, magic(1)) + BODY
    patched = bytecode.with_params(code, {"limit": 0, "unset": 1}, {"limit": value})
    assert patched == wide(3, value) + wide(4, 0) + BODY


@pytest.mark.parametrize(
    "insn",
    [
        wide(3, magic(9)),  # no parameter has that index
        wide(3, magic(0), src=1),  # a map's fd
        wide(3, 0x4B53_5041_5242_0000),  # another constant
        b"\xb7\x03\0\0" + struct.pack("<I", 0x4B535041),
    ],
)
def test_lookalike_of_a_parameter_stays(insn: bytes) -> None:
    assert bytecode.with_params(insn + BODY, {"limit": 0}, {"limit": 5}) == insn + BODY


def test_constant_split_over_two_instructions_is_not_a_parameter() -> None:
    """The second half of one ld_imm64 may have any bytes, even those of an opcode."""
    odd = struct.pack("<BBhI", 0x18, 1, 0, 5) + struct.pack("<BBhI", 0x18, 0, 0, 6)
    code = odd + wide(3, magic(0)) + BODY
    patched = bytecode.with_params(code, {"limit": 0}, {"limit": 5})
    assert patched == odd + wide(3, 5) + BODY


def test_map_becomes_its_fd_in_the_same_register() -> None:
    code = BODY[:8] + wide(2, 0xDEAD, src=1) + wide(7, 3, src=1) + BODY
    patched = bytecode.with_maps(code, [(1, "a"), (3, "b")], {"a": 41, "b": 42})
    assert patched == BODY[:8] + wide(2, 41, src=1) + wide(7, 42, src=1) + BODY


# --- verdicts ------------------------------------------------------------------------------------


@given(st.integers(-(2**31), 2**31 - 1))
def test_program_with_a_verdict_returns_nothing_else(verdict: int) -> None:
    early = struct.pack("<BBhi", 0x15, 1, 1, CONTEXT) + BODY[8:]  # if r1 is not ..., exit
    code = bytecode.with_verdict(early + BODY, verdict)

    assert run(code)[0] == verdict & M64
    assert run(bytecode.with_verdict(BODY[:8] + early + BODY, verdict))[0] == verdict & M64


def test_constant_that_looks_like_an_exit_stays() -> None:
    code = wide(3, 0x95 << 32) + BODY
    held = bytecode.with_verdict(code, 2)

    assert held.startswith(wide(3, 0x95 << 32))
    assert run(held)[1][3] == 0x95 << 32
