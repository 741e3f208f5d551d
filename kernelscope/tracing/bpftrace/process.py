"""One bpftrace process: its start with privilege, its output line by line, and its end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from kernelscope.errors import RequirementError, RunError
from kernelscope.tracing.progress import Progress

_POLL_S = 0.05
_GRACE_S = 70  # for the supervisor, which gives bpftrace 60 s to detach and print its maps
_ATTACH_S = 120  # thousands of probes take their time
_TRACING = Path("/sys/kernel/tracing")
_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin"
# Where tracefs is not mounted, bpftrace gets mounts of its own.
_MOUNT = (
    "mount -t tracefs tracefs /sys/kernel/tracing && "
    '{ mount -t debugfs debugfs /sys/kernel/debug || true; } 2>/dev/null && exec "$@"'
)


@dataclass(frozen=True)
class Line:
    """One line of standard output, and the wall clock in nanoseconds when it arrived."""

    text: str
    at_ns: int


class Process:
    """bpftrace under a supervisor that ends it with this process; see supervisor.py."""

    def __init__(self, script: str, seconds: float, pid: int | None) -> None:
        self.seconds = seconds
        self.started = datetime.now(UTC)
        self.lines: list[Line] = []
        self.interrupted = False
        self._errors = bytearray()
        self._attached_at: float | None = None
        self._ended_at: float | None = None
        request = {
            "command": _bpftrace(pid),
            "script": script,
            "limit_s": seconds + _ATTACH_S,
        }
        self._process = _start()
        self._readers = [
            threading.Thread(target=self._read_output, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self._send(json.dumps(request))

    @property
    def status(self) -> int | None:
        """bpftrace's exit status; 128 and a signal's number where one ended it."""
        return self._process.returncode

    @property
    def errors(self) -> str:
        """What bpftrace printed as errors."""
        return self._errors.decode("utf-8", "replace")

    @property
    def elapsed_s(self) -> float:
        """Seconds since the probes were attached."""
        if self._attached_at is None:
            return 0.0
        return (self._ended_at or time.monotonic()) - self._attached_at

    def wait(self, progress: Progress | None) -> None:
        """Wait for the end: the time has passed, the script exits, or Ctrl-C.

        A second Ctrl-C drops it, and is raised.
        """
        try:
            self._wait(progress)
        except KeyboardInterrupt:
            self.interrupted = True
            self._send("stop")
            try:
                self._process.wait(_GRACE_S)
            except (KeyboardInterrupt, subprocess.TimeoutExpired):
                self._send("kill")
                raise
        finally:
            self._ended_at = self._ended_at or time.monotonic()
            self.close()
            if progress is not None:
                progress.clear(self.elapsed_s)

    def close(self) -> None:
        """End bpftrace, if it still runs, and wait for the rest of its output."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()  # the supervisor kills it now
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        for reader in self._readers:
            reader.join(1)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _wait(self, progress: Progress | None) -> None:
        stopping = False
        while self._process.poll() is None:
            time.sleep(_POLL_S)
            if progress is not None:
                rows = len(self.lines)
                progress.update(self.elapsed_s, self.seconds, rows, 0, ending=stopping)
            if not stopping and self.elapsed_s >= self.seconds:
                self._send("stop")
                stopping, self._ended_at = True, time.monotonic()

    def _send(self, text: str) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # it may have ended
            self._process.stdin.write(text.encode("utf-8", "surrogatepass") + b"\n")
            self._process.stdin.flush()

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        for raw in self._process.stdout:
            text = raw.decode("utf-8", "replace").removesuffix("\n")
            self.lines.append(Line(text, time.time_ns()))
            if self._attached_at is None and '"attached_probes"' in text:
                self._attached_at = time.monotonic()

    def _read_errors(self) -> None:
        stderr: IO[bytes] | None = self._process.stderr
        assert stderr is not None
        while chunk := os.read(stderr.fileno(), 1 << 16):
            self._errors += chunk


def no_privilege(why: str) -> RequirementError:
    """Return the error for a bpftrace that may not run."""
    return RequirementError(
        f"bpftrace needs root: {why}",
        hint="run as root, or let sudo run it without a password",
        requirement="privilege",
    )


def _start() -> subprocess.Popen[bytes]:
    python = next((path for path in _PYTHONS if os.access(path, os.X_OK)), sys.executable)
    command = [*_privilege(), python, "-I", str(_SUPERVISOR)]
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # the terminal's Ctrl-C goes to the client alone
            cwd="/",
        )
    except OSError as error:
        raise RunError(f"bpftrace cannot be started: {error}") from error


def _privilege() -> list[str]:
    """Return what to put before a command to run it as root. Raises RequirementError."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        raise no_privilege("there is no sudo")
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, text=True)
    if asked.returncode:
        raise no_privilege(asked.stderr.strip())
    return ["sudo", "-n", "--"]


def _bpftrace(pid: int | None) -> list[str]:
    found = shutil.which("bpftrace", path=_PATH)
    if found is None:
        raise RequirementError(
            "there is no bpftrace on this machine",
            hint="Debian, Ubuntu: sudo apt-get install bpftrace; Fedora: sudo dnf install bpftrace",
            requirement="bpftrace",
        )
    command = [found, "-f", "json", *(["-p", str(pid)] if pid else [])]
    if not (_TRACING / "events").exists():
        command = ["unshare", "--mount", "sh", "-c", _MOUNT, "sh", *command]
    return command
