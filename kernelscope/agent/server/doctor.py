"""What this machine allows the agent to do: each thing is tried, none guessed.

The answer is plain JSON values; `ui/cli/doctor.py` turns it into text. A reason of None means that
it worked.
"""

from __future__ import annotations

import os
import platform
import resource
import struct
from functools import partial
from pathlib import Path
from typing import Any, Callable

from kernelscope.agent.attach.kinds import ATTACHERS
from kernelscope.agent.attach.kinds.base import attach_for_a_moment
from kernelscope.agent.attach.kinds.kernel_view import KernelView
from kernelscope.agent.kernel import syscalls, task_storage
from kernelscope.errors import KernelScopeError
from kernelscope.protocol import hook_kinds, hook_spec

BTF = Path("/sys/kernel/btf/vmlinux")

# include/uapi/linux/capability.h
_CAPABILITIES = {
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_NET_ADMIN": 12,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYS_RESOURCE": 24,
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
}
_SETTINGS = {
    "lockdown": "/sys/kernel/security/lockdown",
    "unprivileged_bpf_disabled": "/proc/sys/kernel/unprivileged_bpf_disabled",
    "perf_event_paranoid": "/proc/sys/kernel/perf_event_paranoid",
    "kptr_restrict": "/proc/sys/kernel/kptr_restrict",
    "bpf_stats_enabled": "/proc/sys/kernel/bpf_stats_enabled",
}


def findings(
    tracefs: Path | None, forbidden: Callable[[str], str | None] = lambda _: None
) -> dict[str, Any]:
    """Return all findings as plain JSON values.

    forbidden: why a hook may not be tried, None if it may.

    machine: host, kernel, machine, uid, container; btf_bytes and tracefs (None where missing);
    bcc: its version, or None with bcc_error; capabilities: the effective ones that matter here;
    settings: the kernel's own; tried and hooks: name to reason.
    """
    bcc, bcc_error = _bcc()
    return {
        "host": platform.node(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "uid": os.geteuid(),
        "container": _container(),
        "capabilities": _capabilities(),
        "settings": {name: _read(path) for name, path in _SETTINGS.items()},
        "memlock_bytes": resource.getrlimit(resource.RLIMIT_MEMLOCK)[0],
        "btf_bytes": BTF.stat().st_size if os.access(BTF, os.R_OK) else None,
        "tracefs": None if tracefs is None else str(tracefs),
        "bcc": bcc,
        "bcc_error": bcc_error,
        "tried": tried(),
        "hooks": tried_hooks(tracefs, forbidden),
    }


def tried() -> dict[str, str | None]:
    """Try what every run needs; return the reason for each failure, None for what worked."""
    attempts: dict[str, Callable[[], None]] = {
        "map": _try_map,
        "program": _try_program,
        "ring buffer": _try_ring,
        "batch reading": _try_batch,
        "run statistics": _try_statistics,
        "task storage": task_storage.attempt,
    }
    return {name: _reason(attempt) for name, attempt in attempts.items()}


def tried_hooks(
    tracefs: Path | None, forbidden: Callable[[str], str | None]
) -> dict[str, str | None]:
    """Attach an empty program to a hook of each kind and detach it; reasons by kind.

    forbidden: why a hook may not be tried, None if it may.
    """
    view = KernelView(tracefs)
    reasons = {}
    for name, kind in hook_kinds.KINDS.items():
        if kind.tried:
            hook = hook_spec.parse(kind.tried)
            attempt = partial(attach_for_a_moment, ATTACHERS[name], hook, view)
            reasons[name] = forbidden(kind.tried) or _reason(attempt)
    return reasons


def refusal() -> str | None:
    """Return why this process may not load a BPF program; None if it may."""
    return _reason(_try_map) or _reason(_try_program)


def _reason(attempt: Callable[[], None]) -> str | None:
    try:
        attempt()
    except OSError as error:
        return os.strerror(error.errno).lower() if error.errno else str(error)
    except KernelScopeError as error:
        return error.message
    return None


def _try_map() -> None:
    os.close(syscalls.map_create(syscalls.MAP_TYPE_HASH, 4, 8, 16))


def _try_program() -> None:
    os.close(syscalls.prog_load(syscalls.PROG_TYPE_TRACEPOINT, syscalls.return_number(0))[0])


def _try_ring() -> None:
    os.close(syscalls.map_create(syscalls.MAP_TYPE_RINGBUF, 0, 0, syscalls.page_size()))


def _try_batch() -> None:
    fd = syscalls.map_create(syscalls.MAP_TYPE_HASH, 4, 8, 16)
    after, keys, values = bytearray(4), bytearray(64), bytearray(128)
    pointers = (0, *map(syscalls.address, (after, keys, values)))
    attr = bytearray(struct.pack("=4QIIQQ", *pointers, 16, fd, 0, 0))
    try:
        syscalls.bpf(syscalls.MAP_LOOKUP_BATCH, attr)
    except FileNotFoundError:
        pass  # ENOENT: the (empty) map was read to its end
    finally:
        os.close(fd)


def _try_statistics() -> None:
    os.close(syscalls.enable_stats())


def _bcc() -> tuple[str | None, str | None]:
    try:
        from bcc import __version__
    except (ImportError, OSError) as error:
        return None, str(error)
    return str(__version__), None


def _capabilities() -> list[str]:
    status = _read("/proc/self/status") or ""
    line = next((line for line in status.splitlines() if line.startswith("CapEff:")), "CapEff: 0")
    effective = int(line.split()[1], 16)
    return [name for name, bit in _CAPABILITIES.items() if effective >> bit & 1]


def _container() -> str | None:
    """Return the kind of container this runs in, by what its runtime leaves visible."""
    if Path("/.dockerenv").exists():
        return "docker"
    if Path("/run/.containerenv").exists():
        return "podman"
    named = _read("/run/systemd/container")
    if named:
        return named
    return "a user namespace" if _in_user_namespace() else None


def _in_user_namespace() -> bool:
    whole = ["0", "0", "4294967295"]
    return (_read("/proc/self/uid_map") or " ".join(whole)).split() != whole


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
