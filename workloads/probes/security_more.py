"""Known loads for the probes of bpf/security: tracing, listening, loading, running, connecting."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from workloads.probes.common import take_name

C = ctypes.CDLL(None, use_errno=True)
C.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
X86 = os.uname().machine == "x86_64"
SYS_bpf = 321 if X86 else 280
FORMER = (3, 4, 5, 6, 9, 11, 12)  # AF_AX25 to AF_DECnet: a kernel asks for a module of each


def processes_traced() -> dict[str, Any]:
    """23 attaches to a child, as "ks-tracer", 7 reads of its memory; 5 of one that has ended."""
    take_name("ks-tracer")
    child = os.fork()
    if child == 0:
        while True:
            signal.pause()
    for _ in range(23):
        C.ptrace(PTRACE_ATTACH, child, None, None)
        os.waitpid(child, 0)
        C.ptrace(PTRACE_DETACH, child, None, None)
    text = ctypes.create_string_buffer(8)
    piece = (ctypes.c_uint64 * 2)(ctypes.addressof(text), 8)
    for _ in range(7):
        C.process_vm_readv(child, piece, 1, piece, 1, 0)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for _ in range(5):
        C.ptrace(PTRACE_ATTACH, child, None, None)
    return {"child": child}


def ports_opened() -> dict[str, Any]:
    """19 sockets that listen, IPv4 and IPv6, on known ports; one whose port another took."""
    listening = []
    for number in range(19):
        family, address = (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")
        chosen = (family, address)[number % 2]
        with socket.socket(chosen[0]) as server:
            if number:  # the first one leaves the address to the kernel, which uses all addresses
                server.bind((chosen[1], 0))
            server.listen(number + 1)
            name = server.getsockname()
            listening.append({"address": name[0], "port": name[1], "backlog": number + 1})
    return {"listening": listening, "taken": _taken_port()}


def _taken_port() -> int:
    """Let two sockets bind one port, as SO_REUSEADDR allows, and the second fail to listen."""
    with socket.socket() as first, socket.socket() as second:
        for each in (first, second):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        first.bind(("127.0.0.1", 0))
        second.bind(first.getsockname())
        first.listen()
        with contextlib.suppress(OSError):
            second.listen()
        return int(first.getsockname()[1])


def bpf_used() -> dict[str, Any]:
    """29 maps and 3 programs, as "ks-bpf"; 5 programs refused; 7 entries written."""
    take_name("ks-bpf")
    maps = [_bpf(0, struct.pack("=IIIIIII16s", 2, 4, 8, 3, 0, 0, 0, b"ks_map")) for _ in range(29)]
    key = ctypes.c_uint32(1)
    value = ctypes.c_uint64(5)
    entry = struct.pack("=IIQQQ", maps[0], 0, ctypes.addressof(key), ctypes.addressof(value), 0)
    for _ in range(7):
        _bpf(2, entry)
    returns_zero = struct.pack("=BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0)
    programs = [_load(returns_zero) for _ in range(3)]
    refused = [_load(returns_zero[8:]) for _ in range(5)]  # r0 was never set
    for fd in maps + programs:
        os.close(fd)
    return {"maps": maps, "programs": programs, "refused": refused}


def _load(code: bytes) -> int:
    text = ctypes.create_string_buffer(code)
    licence = ctypes.create_string_buffer(b"GPL")
    head = struct.pack(
        "=IIQQ", 1, len(code) // 8, ctypes.addressof(text), ctypes.addressof(licence)
    )
    return _bpf(5, head + struct.pack("=IIQII16s", 0, 0, 0, 0, 0, b"ks_program"))


def _bpf(command: int, attributes: bytes) -> int:
    """Return the descriptor, or a negative error number."""
    given = ctypes.create_string_buffer(attributes)
    result = int(C.syscall(SYS_bpf, command, given, len(attributes)))
    return result if result >= 0 else -(ctypes.get_errno() or errno.EIO)


def modules_refused() -> dict[str, Any]:
    """11 finit_module and 3 init_module of invalid files, 5 delete_module of none."""
    take_name("ks-modules")
    finit, init, delete = (313, 175, 176) if X86 else (273, 105, 106)
    nothing = os.memfd_create("ks-nothing")
    os.write(nothing, b"this is no module" * 100)
    text = ctypes.create_string_buffer(b"nor is this" * 100)
    errors = [_error(finit, nothing, b"", 0) for _ in range(11)]
    errors += [_error(init, text, ctypes.c_ulong(len(text)), b"") for _ in range(3)]
    errors += [_error(delete, b"ks_not_there", 0) for _ in range(5)]
    os.close(nothing)
    asked = []
    for family in range(7):  # families that no kernel implements any more
        with contextlib.suppress(OSError):
            socket.socket(FORMER[family], socket.SOCK_STREAM)
        asked.append(f"net-pf-{FORMER[family]}")
    return {"errors": errors, "asked": asked}


def _error(number: int, *arguments: Any) -> str:
    ctypes.set_errno(0)
    C.syscall(number, *arguments)
    return errno.errorcode.get(ctypes.get_errno(), "")


def programs_from_odd_places() -> dict[str, Any]:
    """13 programs from /tmp, 3 from /dev/shm, 2 from /var/tmp, 5 memfd, 1 deleted, 1 script."""
    true = Path(shutil.which("true") or "/bin/true").read_bytes()
    started: dict[str, list[int]] = {"/bin": [_run("/bin/true") for _ in range(7)]}
    for folder, times in (("/tmp", 13), ("/dev/shm", 3), ("/var/tmp", 2)):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            program = _written(Path(place, "ks-odd"), true)
            os.chdir(place)
            paths = [str(program), "./ks-odd"] * times
            started[folder] = [_run(path) for path in paths[:times]]
            os.chdir("/")
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        script = _written(Path(place, "ks-script"), b"#!/bin/sh\n:\n")
        started["script"] = [_run(str(script))]
        deleted = _written(Path(place, "ks-deleted"), true)
        fd = os.open(deleted, os.O_RDONLY)
        deleted.unlink()
        started["deleted"] = [_run(f"/proc/self/fd/{fd}")]
    memory = os.memfd_create("ks-memory", 0)
    os.write(memory, true)
    again = os.open(f"/proc/self/fd/{memory}", os.O_RDONLY)
    os.close(memory)
    started["memory"] = [_run(f"/proc/self/fd/{again}") for _ in range(5)]
    return started


def programs_in_another_root() -> dict[str, Any]:
    """7 programs from /bin and 11 from /tmp of a root folder that is itself in /tmp."""
    with tempfile.TemporaryDirectory(dir="/tmp") as root:
        needed = subprocess.run(["ldd", "/bin/true"], capture_output=True, text=True, check=True)
        for library in re.findall(r"(/\S+) \(0x", needed.stdout):
            Path(root + library).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, root + library)
        for folder in ("bin", "tmp"):
            Path(root, folder).mkdir(exist_ok=True)
            shutil.copy("/bin/true", Path(root, folder, "ks-odd"))
        return {
            "/bin": [_run("/bin/ks-odd", root) for _ in range(7)],
            "/tmp": [_run("/tmp/ks-odd", root) for _ in range(11)],
        }


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def _run(path: str, root: str = "") -> int:
    child = os.fork()
    if child == 0:
        if root:
            os.chroot(root)
        os.execv(path, [path])
    _, status = os.waitpid(child, 0)
    return child if status == 0 else -status


def connections_tried() -> dict[str, Any]:
    """17 connections to a port of the machine, in turn over IPv4, IPv6 and mapped; 5 to another."""
    ports = [_vacant_port(), _vacant_port()]
    for number in range(17):
        family = (socket.AF_INET, socket.AF_INET6, socket.AF_INET6)[number % 3]
        address = ("127.0.0.1", "::1", "::ffff:127.0.0.1")[number % 3]
        with socket.socket(family) as client:
            client.connect_ex((address, ports[0]))
    for _ in range(5):
        with socket.socket() as client:
            client.connect_ex(("127.0.0.1", ports[1]))
    with socket.socket() as client:  # an address for documentation, which no host has (RFC 5737)
        client.setblocking(False)
        outside = client.connect_ex(("192.0.2.1", ports[0]))
    return {"ports": ports, "outside": outside == errno.EINPROGRESS}


def _vacant_port() -> int:
    with socket.socket() as vacant:
        vacant.bind(("127.0.0.1", 0))
        return int(vacant.getsockname()[1])
