"""Edits of BPF instructions before they are loaded: map fds, parameters, and a prologue of filters.

Pure: bytes in, bytes out. An instruction is 8 bytes: opcode, registers, offset, immediate
(include/uapi/linux/bpf.h); `ld_imm64` takes two of them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

from kernelscope.protocol.program import Filters

PARAM_MAGIC = 0x4B5350415241  # "KSPARA" in the upper 48 bits, the parameter's index below them
_INSN = struct.Struct("<BBhi")
_LD_IMM64 = 0x18
_PSEUDO_MAP_FD = 1
_HELPER_MAP_LOOKUP = 1
_HELPER_PID_TGID, _HELPER_UID_GID, _HELPER_COMM, _HELPER_NS_PID_TGID = 14, 15, 16, 120
_HELPER_ANCESTOR_CGROUP = 123
_MOV, _MOV_IMM, _MOV32, _ADD_IMM, _RSH_IMM = 0xBF, 0xB7, 0xBC, 0x07, 0x77
_JA, _JEQ_IMM, _JNE_IMM, _JNE, _JNE32_IMM = 0x05, 0x15, 0x55, 0x5D, 0x56
_LOAD_U32, _LOAD_U64, _STORE_U32, _STORE_IMM_U64 = 0x61, 0x79, 0x63, 0x7A
_CALL, _EXIT = 0x85, 0x95
_SKIP = 32767  # a jump whose target is not known yet


def _insn(opcode: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> bytes:
    return _INSN.pack(opcode, dst | src << 4, offset, _signed(imm))


def _signed(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def _wide(dst: int, value: int) -> bytes:
    return _insn(_LD_IMM64, dst, imm=value) + _insn(0, imm=value >> 32)


def _wide_places(code: bytes) -> Iterable[int]:
    """Yield the instruction index of every ld_imm64."""
    index, count = 0, len(code) // 8
    while index < count:
        if code[index * 8] == _LD_IMM64:
            yield index
            index += 1
        index += 1


def with_maps(code: bytes, maps: Sequence[tuple[int, str]], fds: Mapping[str, int]) -> bytes:
    """Return the code with this process's fd in each map reference."""
    edited = bytearray(code)
    for index, name in maps:
        dst = edited[index * 8 + 1] & 15
        _INSN.pack_into(edited, index * 8, _LD_IMM64, dst | _PSEUDO_MAP_FD << 4, 0, fds[name])
        _INSN.pack_into(edited, index * 8 + 8, 0, 0, 0, 0)
    return bytes(edited)


def with_params(code: bytes, indexes: Mapping[str, int], values: Mapping[str, int]) -> bytes:
    """Return the code with every KS_PARAM's magic number replaced by its value, 0 by default."""
    by_index = {index: values.get(name, 0) for name, index in indexes.items()}
    edited = bytearray(code)
    for place in _wide_places(code):
        registers, low, high = code[place * 8 + 1], *struct.unpack_from("<4xI4xI", code, place * 8)
        number = high << 32 | low
        if registers >> 4 == 0 and number >> 16 == PARAM_MAGIC and number & 0xFFFF in by_index:
            edited[place * 8 : place * 8 + 16] = _wide(registers, by_index[number & 0xFFFF])
    return bytes(edited)


def with_verdict(code: bytes, verdict: int) -> bytes:
    """Return the code of one function, changed to always return `verdict`.

    Each exit becomes a jump to the new end, so that no other jump changes.
    """
    edited, count = bytearray(code), len(code) // 8
    wide = {place + 1 for place in _wide_places(code)}
    for index in range(count):
        if code[index * 8] == _EXIT and index not in wide:
            edited[index * 8 : index * 8 + 8] = _insn(_JA, offset=count - index - 1)
    return bytes(edited) + _insn(_MOV_IMM, 0, imm=verdict) + _insn(_EXIT)


def prologue(
    filters: Filters,
    exclude: Sequence[int],
    namespace: tuple[int, int] | None = None,
    tree_fd: int | None = None,
) -> bytes:
    """Return instructions that end the program at once for a task that the filters exclude.

    namespace: device and inode of the pid namespace of the process ids, None for the machine's
    own. A task of another namespace has no id in it. tree_fd: the map of the traced threads, if
    filters.tree is set.

    The instructions keep the context in r6 and restore r1. b"" if there is nothing to test.
    """
    tests = (
        _pid_tests(filters.pid, exclude, namespace)
        + _uid_test(filters.uid)
        + _comm_test(filters.comm)
        + _cgroup_test(filters.cgroup, filters.cgroup_level or 0)
        + _tree_test(tree_fd)
    )
    if not tests:
        return b""
    ending = [
        _insn(_MOV, 1, 6),
        _insn(_JA, offset=2),
        _insn(_MOV_IMM, 0, imm=0),
        _insn(_EXIT),
    ]
    code = b"".join([_insn(_MOV, 6, 1), *tests, *ending])
    return _aim(code, len(code) // 8 - 2)


def _aim(code: bytes, target: int) -> bytes:
    """Point every jump marked _SKIP at the instruction `target`."""
    edited = bytearray(code)
    for index in range(len(code) // 8):
        if struct.unpack_from("<h", code, index * 8 + 2)[0] == _SKIP:
            struct.pack_into("<h", edited, index * 8 + 2, target - index - 1)
    return bytes(edited)


def _pid_tests(
    pid: int | None, exclude: Sequence[int], namespace: tuple[int, int] | None
) -> list[bytes]:
    left_out = sorted(set(exclude))
    if pid is None and not left_out:
        return []
    tests = [_insn(_CALL, imm=_HELPER_PID_TGID), _insn(_RSH_IMM, 0, imm=32)]
    if namespace is not None:
        tests = _pid_in(*namespace)
    tests += [_insn(_JEQ_IMM, 0, offset=_SKIP, imm=other) for other in left_out]
    if pid is not None:
        tests.append(_insn(_JNE_IMM, 0, offset=_SKIP, imm=pid))
    return tests


def _pid_in(device: int, inode: int) -> list[bytes]:
    """Put the process id in its namespace into r0; 0 for a task of another namespace."""
    return [
        _wide(1, device),
        _wide(2, inode),
        _insn(_MOV, 3, 10),
        _insn(_ADD_IMM, 3, imm=-8),
        _insn(_MOV_IMM, 4, imm=8),
        _insn(_CALL, imm=_HELPER_NS_PID_TGID),
        _insn(_LOAD_U32, 0, 10, -4),  # struct bpf_pidns_info: pid, tgid
    ]


def _uid_test(uid: int | None) -> list[bytes]:
    if uid is None:
        return []
    call = _insn(_CALL, imm=_HELPER_UID_GID)  # the uid is the lower half
    return [call, _insn(_MOV32, 0, 0), _insn(_JNE32_IMM, 0, offset=_SKIP, imm=uid)]


def _cgroup_test(cgroup: int | None, level: int) -> list[bytes]:
    """Compare with the task's ancestor at the cgroup's own level, itself where it is no deeper."""
    if cgroup is None:
        return []
    return [
        _insn(_MOV_IMM, 1, imm=level),
        _insn(_CALL, imm=_HELPER_ANCESTOR_CGROUP),
        _wide(1, cgroup),
        _insn(_JNE, 0, 1, _SKIP),
    ]


def _tree_test(fd: int | None) -> list[bytes]:
    """Look the current thread up in the map of traced threads."""
    if fd is None:
        return []
    return [
        _insn(_CALL, imm=_HELPER_PID_TGID),
        _insn(_STORE_U32, 10, 0, -4),  # the thread's id is the lower half
        _insn(_MOV, 2, 10),
        _insn(_ADD_IMM, 2, imm=-4),
        _insn(_LD_IMM64, 1, _PSEUDO_MAP_FD, imm=fd) + _insn(0),
        _insn(_CALL, imm=_HELPER_MAP_LOOKUP),
        _insn(_JEQ_IMM, 0, offset=_SKIP),
    ]


def _comm_test(comm: str | None) -> list[bytes]:
    if comm is None:
        return []
    words = struct.unpack("<QQ", comm.encode()[:15].ljust(16, b"\0"))
    # In 6.1 the helper writes nothing behind the NUL: old stack contents would be compared.
    clear = [_insn(_STORE_IMM_U64, 10, offset=offset, imm=0) for offset in (-16, -8)]
    tests = [
        *clear,
        _insn(_MOV, 1, 10),
        _insn(_ADD_IMM, 1, imm=-16),
        _insn(_MOV_IMM, 2, imm=16),
        _insn(_CALL, imm=_HELPER_COMM),
    ]
    for word, offset in zip(words, (-16, -8)):
        tests += [
            _insn(_LOAD_U64, 0, 10, offset),
            _wide(1, word),
            _insn(_JNE, 0, 1, _SKIP),
        ]
    return tests
