"""Runs real bpftrace for a set time and returns its maps and lines as DataFrames.

bpftrace is its own program with its own privilege: it runs as root, or through `sudo -n`. It ends
after the requested time, even if the notebook dies: `timeout` runs it.
"""

from __future__ import annotations

import math
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from kernelscope import converters
from kernelscope.errors import (
    AttachError,
    CompileError,
    LostEventsWarning,
    ParameterError,
    RequirementError,
    RunError,
)
from kernelscope.protocol.losses import Loss
from kernelscope.tables.attrs import KEY
from kernelscope.tables.results import Tables
from kernelscope.tracing import bpftrace_output, losses
from kernelscope.tracing.progress import Progress
from kernelscope.tracing.request import unknown_table

if TYPE_CHECKING:
    import pandas as pd


DURATION_S = 10.0
_POLL_S = 0.05
_GRACE_S = 30  # to print its maps, then it is killed
_ATTACH_S = 120  # thousands of probes take their time
_TRACING = Path("/sys/kernel/tracing")
# Where tracefs is not mounted, bpftrace gets mounts of its own.
_MOUNT = (
    "mount -t tracefs tracefs /sys/kernel/tracing && "
    '{ mount -t debugfs debugfs /sys/kernel/debug || true; } 2>/dev/null && exec "$@"'
)
_PLACE = re.compile(r"^stdin:(\d+):(\d+)(?:-(\d+))?: (?:ERROR: )?(.*)")


def run(
    script: str,
    *,
    duration: float | str = DURATION_S,
    pid: int | None = None,
    table: str | None = None,
    progress: Progress | None = None,
    warn: bool = True,
) -> pd.DataFrame | Tables:
    """Run a bpftrace script for `duration` seconds, or until it exits; Ctrl-C ends it early.

    pid: bpftrace's -p, for probes of one process. table: the only table that is wanted.
    The result has one table for each map, named as the map without its @ ("map" where it has no
    name), and "printf"; a single one is a DataFrame. `attrs["kernelscope"]` holds the receipt, with
    the events that bpftrace lost.

    Raises RequirementError without bpftrace or privilege, CompileError at the script's
    line, AttachError, RunError; warns with LostEventsWarning.
    """
    if not script.strip():
        raise ParameterError(
            "there is no script to run", hint="write bpftrace below the line", name="script"
        )
    seconds = converters.run_time(duration)
    if math.isinf(seconds):
        raise ParameterError(
            "bpftrace needs an end", hint="give a duration, such as -d 1h", name="duration"
        )
    with tempfile.TemporaryDirectory(prefix="kernelscope-bpftrace-") as folder:
        file = Path(folder, "script.bt")
        file.write_text(script, encoding="utf-8")
        with Path(folder, "out").open("w+b") as out, Path(folder, "err").open("w+b") as errors:
            traced = _Traced(_command(file, seconds, pid), out, errors, seconds)
            traced.wait(progress)
            tables = _tables(script, traced, warn=warn)
    if table is not None and table not in tables:
        raise unknown_table(table, list(tables))
    if table is not None:
        return tables[table]
    return next(iter(tables.values())) if len(tables) == 1 else tables


class _Traced:
    """One bpftrace process, from its start to its end."""

    def __init__(self, command: list[str], out: IO[bytes], errors: IO[bytes], seconds: float):
        self.out, self.errors, self.seconds = out, errors, seconds
        self.started = datetime.now(UTC)
        self.began: float | None = None
        self.ended: float | None = None
        self.interrupted = False
        try:
            # A session of its own: the terminal's Ctrl-C goes to us alone, and we pass it on once.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as error:
            raise RunError(f"bpftrace cannot be started: {error}") from error

    def wait(self, progress: Progress | None) -> None:
        """Wait for the end: the time has passed, the script exits, or Ctrl-C."""
        try:
            self._wait(progress)
        except KeyboardInterrupt:
            self.interrupted = True
            self._signal(signal.SIGINT)
            try:
                self.process.wait(_GRACE_S)
            except (KeyboardInterrupt, subprocess.TimeoutExpired):
                self._signal(signal.SIGKILL)
                raise
        finally:
            if progress is not None:
                progress.clear(self.elapsed_s)

    def _wait(self, progress: Progress | None) -> None:
        asked_to_end = False
        while self.process.poll() is None:
            time.sleep(_POLL_S)
            if self.began is None and self._attached():
                self.began = time.monotonic()
            if progress is not None:
                progress.update(self.elapsed_s, self.seconds, 0, 0, ending=asked_to_end)
            if not asked_to_end and self.elapsed_s >= self.seconds:
                self._signal(signal.SIGINT)
                asked_to_end, self.ended = True, time.monotonic()
        self.ended = self.ended or time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since all probes were attached."""
        if self.began is None:
            return 0.0
        return (self.ended or time.monotonic()) - self.began

    def _attached(self) -> bool:
        return b'"attached_probes"' in os.pread(self.out.fileno(), 4096, 0)

    def _signal(self, number: signal.Signals) -> None:
        """Tell the whole group; as root's, where it was started through sudo."""
        try:
            os.killpg(self.process.pid, number)
        except PermissionError:
            kill = ["sudo", "-n", "kill", f"-{number.name}", "--", f"-{self.process.pid}"]
            subprocess.run(kill, capture_output=True, check=False)
        except ProcessLookupError:
            pass

    def text(self, file: IO[bytes]) -> str:
        """Return what the process wrote."""
        file.seek(0)
        return file.read().decode("utf-8", "replace")


def _command(file: Path, seconds: float, pid: int | None) -> list[str]:
    found = shutil.which("bpftrace", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin")
    if found is None:
        raise RequirementError(
            "there is no bpftrace on this machine",
            hint="Debian, Ubuntu: sudo apt-get install bpftrace; Fedora: sudo dnf install bpftrace",
            requirement="bpftrace",
        )
    limit = f"--kill-after={_GRACE_S}", f"{seconds + _ATTACH_S:g}"
    command = ["timeout", "--signal=INT", *limit, found, "-f", "json"]
    command += [*(["-p", str(pid)] if pid else []), str(file)]
    if not (_TRACING / "events").exists():
        command = ["unshare", "--mount", "sh", "-c", _MOUNT, "sh", *command]
    if os.geteuid() == 0:
        return command
    if shutil.which("sudo") is None:
        raise _no_privilege("there is no sudo")
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, text=True)
    if asked.returncode:
        raise _no_privilege(asked.stderr.strip())
    file.parent.chmod(0o755)
    return ["sudo", "-n", *command]


def _no_privilege(why: str) -> RequirementError:
    return RequirementError(
        f"bpftrace needs root: {why}",
        hint="run as root, or let sudo run it without a password",
        requirement="privilege",
    )


def _tables(script: str, traced: _Traced, *, warn: bool) -> Tables:
    errors = traced.text(traced.errors)
    output = bpftrace_output.read(traced.text(traced.out).splitlines(), script)
    complaints = re.findall(r"^WARNING: (.*)", errors, re.MULTILINE)
    if not output.attached or (complaints and not output.tables):
        raise _failure(errors, script)
    output.lost += sum(int(number) for number in re.findall(r"Lost (\d+) events", errors))
    receipt = {**_receipt(script, traced, output), "warnings": complaints}
    for name, table in output.tables.items():
        table.attrs[KEY] = {**receipt, "table": name}
    found = Tables(output.tables, receipt)
    message = losses.loss_message(receipt)
    if warn and message is not None:
        warnings.warn(message, LostEventsWarning, stacklevel=3)
    return found


def _receipt(script: str, traced: _Traced, output: bpftrace_output.Output) -> dict[str, Any]:
    return {
        "name": "bpftrace",
        "probe": None,
        "script": script,
        "host": socket.gethostname(),
        "kernel": {"release": platform.release(), "machine": platform.machine()},
        "started": traced.started.isoformat(timespec="milliseconds"),
        "duration_s": round(traced.elapsed_s, 6),
        "asked_s": traced.seconds,
        "probes_attached": output.attached,
        "rows": {name: len(table) for name, table in output.tables.items()},
        "events": None,
        "lost": {Loss.BPFTRACE.value: output.lost} if output.lost else {},
        "interrupted": traced.interrupted,
        "recorded": False,
    }


def _failure(errors: str, script: str) -> RunError | RequirementError:
    """Say why bpftrace attached nothing: at the script's own line where it names one."""
    text = "\n".join(line for line in errors.splitlines() if "RLIMIT_MEMLOCK" not in line)
    text = re.sub(r"^\S*script\.bt", "stdin", text, flags=re.MULTILINE)
    for line in text.splitlines():
        place = _PLACE.match(line)
        if place is not None:
            number, column = int(place[1]), int(place[2])
            lines = script.splitlines()
            return CompileError(
                place[4],
                line=number,
                column=column,
                text=lines[number - 1] if 0 < number <= len(lines) else "",
            )
    first = next((line for line in text.splitlines() if line.strip()), "it ended without a word")
    said = re.sub(r"^(ERROR|WARNING): ", "", first)
    if "root" in said.lower():
        return _no_privilege(said)
    return AttachError(f"bpftrace: {said}", hint=None, log=text)
