"""Boot a kernel under QEMU's software emulation, run a command in it, watch it to its end.

The guest's root is this machine's own, copy-on-write over virtiofs, so that whatever is installed
here can be run there. /disk is a separate disk. KVM is not used: nested, it is not reliable.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vm.archive import Kernel

CONSOLE_LINES = 30
_POLL_S = 0.2
_DISK_BYTES = 64 << 20
_VIRTIOFSD = ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd")
_COMMAND_LINE = "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off"


class MachineError(Exception):
    """A guest could not be started at all."""


@dataclass(frozen=True)
class Limits:
    """When a guest counts as hung. silence_s: since its last report; total_s: in all."""

    silence_s: float = 300.0
    total_s: float = 2700.0
    memory: str = "2G"
    cpus: int = 2


def run(
    kernel: Kernel,
    command: Sequence[str],
    environment: dict[str, str],
    folder: Path,
    take: Callable[[str], None],
    limits: Limits,
) -> str | None:
    """Run a command as root in a guest, give each line it writes to /out/results to `take`.

    folder: an empty one; it is /out in the guest. Returns None if the guest ended by itself,
    else why it was ended.
    """
    out = folder / "out"
    out.mkdir()
    _write_script(out / "run.sh", command, environment)
    _make_disk(folder / "disk")
    with _shared(folder, "host", Path("/"), "always"), _shared(folder, "out", out, "never"):
        qemu = subprocess.Popen(
            _qemu(kernel, folder, limits),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(folder / "qemu.log").open("wb"),
        )
        try:
            return _watch(qemu, _Growing(out / "results", take), limits)
        finally:
            qemu.kill()
            qemu.wait()


def console_tail(folder: Path) -> list[str]:
    """Return the last lines of a guest's console, or of QEMU's own complaints."""
    lines: list[str] = []
    for name in ("qemu.log", "console"):
        path = folder / name
        if path.exists():
            lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.rstrip() for line in lines if line.strip()][-CONSOLE_LINES:]


def _write_script(path: Path, command: Sequence[str], environment: dict[str, str]) -> None:
    names = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **environment}
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in names.items())
    path.write_text(
        f"{exports}{shlex.join(command)}\nsync\necho o > /proc/sysrq-trigger\nsleep 60\n"
    )


def _make_disk(path: Path) -> None:
    """Make the guest's own disk: block I/O on it is that of the tests alone."""
    with path.open("wb") as file:
        file.truncate(_DISK_BYTES)
    done = subprocess.run(["mkfs.ext4", "-q", "-F", path], capture_output=True, text=True)
    if done.returncode:
        raise MachineError(f"mkfs.ext4 failed: {done.stderr.strip()}")


# --- QEMU and what shares folders with it ---------------------------------------------------------


def _qemu(kernel: Kernel, folder: Path, limits: Limits) -> list[str]:
    program = shutil.which("qemu-system-x86_64")
    if program is None:
        raise MachineError("qemu-system-x86_64 is not installed: apt-get install qemu-system-x86")
    shares = []
    for tag in ("host", "out"):
        shares += ["-chardev", f"socket,id={tag},path={folder / tag}.socket"]
        shares += ["-device", f"vhost-user-fs-pci,chardev={tag},tag={tag}"]
    # One thread for all of the guest's CPUs: with a thread for each, one may run an instruction
    # that the kernel is patching on the other (a tracepoint switched on), and the guest panics.
    return [
        *(program, "-accel", "tcg,thread=single", "-cpu", "max", "-smp", str(limits.cpus)),
        *("-machine", "q35,memory-backend=memory", "-m", limits.memory),
        *("-object", f"memory-backend-memfd,id=memory,size={limits.memory},share=on"),
        *("-display", "none", "-nodefaults", "-no-reboot", "-device", "virtio-rng-pci"),
        *("-serial", f"file:{folder / 'console'}", *shares),
        *("-drive", f"file={folder / 'disk'},format=raw,if=virtio,cache=unsafe"),
        *("-kernel", str(kernel.image), "-initrd", str(kernel.initrd), "-append", _COMMAND_LINE),
    ]


@contextmanager
def _shared(folder: Path, tag: str, source: Path, cache: str) -> Iterator[None]:
    program = next((path for path in _VIRTIOFSD if os.access(path, os.X_OK)), None)
    if program is None:
        raise MachineError(
            "virtiofsd is not installed: apt-get install virtiofsd (Debian 12: qemu-system-common)"
        )
    socket = folder / f"{tag}.socket"
    old = "qemu" in program  # the one in C that came with QEMU before 8.0
    share = ["-o", f"source={source}", "-o", f"cache={'none' if cache == 'never' else cache}"]
    if not old:
        share = ["--shared-dir", str(source), "--cache", cache]
    sandbox = ["-o", "sandbox=chroot"] if old else ["--sandbox", "chroot"]
    with (folder / f"{tag}.log").open("wb") as log:
        process = subprocess.Popen(
            [program, f"--socket-path={socket}", *share, *sandbox], stdout=log, stderr=log
        )
    try:
        for _ in range(100):
            if socket.exists():
                break
            time.sleep(0.05)
        else:
            raise MachineError(f"virtiofsd did not start: {(folder / f'{tag}.log').read_text()}")
        yield
    finally:
        process.kill()
        process.wait()


# --- watching ------------------------------------------------------------------------------------


class _Growing:
    """A file that grows line by line; a line that is not yet whole waits."""

    def __init__(self, path: Path, take: Callable[[str], None]) -> None:
        self._path = path
        self._take = take
        self._offset = 0
        self._rest = ""

    def poll(self) -> bool:
        """Take the new lines; return whether there were any."""
        if not self._path.exists():
            return False
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        *lines, self._rest = (self._rest + data.decode("utf-8", "replace")).split("\n")
        for line in lines:
            self._take(line)
        return bool(data)


class _Clock:
    """Counts the seconds that a process had a CPU or wanted none, also on a busy machine."""

    def __init__(self, pid: int) -> None:
        self._threads = Path(f"/proc/{pid}/task")

    def now(self) -> float:
        waited = 0.0
        for file in self._threads.glob("*/schedstat"):  # Documentation/scheduler/sched-stats.rst
            with suppress(OSError, IndexError):  # a thread that ended meanwhile
                waited = max(waited, int(file.read_text().split()[1]) / 1e9)
        return time.monotonic() - waited


def _watch(qemu: subprocess.Popen[bytes], results: _Growing, limits: Limits) -> str | None:
    # The console does not count: a kernel with stuck CPUs reports them every 28 s, for ever.
    clock = _Clock(qemu.pid)
    began = heard = clock.now()
    while True:
        ended = qemu.poll() is not None  # before the last read of its output
        if results.poll():
            heard = clock.now()
        if ended:
            return None
        now = clock.now()
        if now - heard > limits.silence_s:
            return f"it reported nothing for {limits.silence_s:.0f} s"
        if now - began > limits.total_s:
            return f"it had not ended after {limits.total_s:.0f} s"
        time.sleep(_POLL_S)
