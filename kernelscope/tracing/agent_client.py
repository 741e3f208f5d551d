"""The client's end of the boundary: starts the agent, sends it requests, reads a run's frames.

Standard library only. `Agent` is a process and a control socket; `Channel` is the socket of one
run. Both may be used from several threads.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from kernelscope.errors import (
    AgentDiedError,
    AgentRefusedError,
    AgentUnavailableError,
    RequirementError,
    from_json,
)
from kernelscope.protocol.frames import MAX_LINE, VERSION, Frame, FrameReader, encode_header
from kernelscope.protocol.probe_folder import PACKAGE
from kernelscope.protocol.program import Program

START_TIMEOUT_S = 15.0
REQUEST_TIMEOUT_S = 60.0
_MAIN = PACKAGE / "agent" / "__main__.py"
_PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3", "/bin/python3")
_CAP_PERFMON = 38
_CAP_BPF = 39


class Channel:
    """One run's stream: frames come out, `stop` and `snapshot` go in."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reader = FrameReader(sock)
        self._lock = threading.Lock()
        self._owner = os.getpid()

    def frames(self) -> Iterator[Frame]:
        """Yield frames up to the run's end; blocks in between.

        Raises the run's own error (CompileError, AttachError, ...) where it failed, and
        AgentDiedError where its process ended early.
        """
        while True:
            try:
                frame = self._reader.read()
            except TimeoutError:
                raise _died("it did not answer in time") from None
            except (OSError, AgentDiedError, AgentRefusedError) as error:
                if isinstance(error, OSError) and error.errno == errno.ENOMEM:
                    raise MemoryError(str(error)) from None
                # It ended inside a frame, or the report of its death cuts a frame short.
                raise _died(str(error)) from None
            if frame is None:
                raise _died("it stopped before the end of the run")
            if frame.type == "end":
                return
            if frame.type == "error":
                raise from_json(frame.header["error"])
            yield frame

    def stop(self) -> None:
        """Ask the run to end and to send its last data; harmless when it has ended."""
        self._send({"type": "stop"})

    def start(self) -> None:
        """Attach a run that was loaded and waits for its group."""
        self._send({"type": "start"})

    def until(self, at_ns: int) -> None:
        """End the run at that moment of the monotonic clock, whatever its duration was."""
        self._send({"type": "until", "at_ns": at_ns})

    def snapshot(self) -> None:
        """Ask for a reading of the maps now."""
        self._send({"type": "snapshot"})

    def close(self) -> None:
        """Drop the stream; a run that is still attached ends at once."""
        # shutdown first: it wakes a thread that blocks in recv, which close alone does not. But a
        # process forked by the notebook has a copy, and must not end the notebook's run.
        if os.getpid() == self._owner:
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def _send(self, header: dict[str, Any]) -> None:
        with self._lock, suppress(OSError):  # the last frames of a run that ended have the reason
            self._sock.sendall(encode_header(header))


class Agent:
    """The privileged process. Close it; it also ends with the notebook's process."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        control: socket.socket,
        command: Sequence[str] = (),
        stderr: BinaryIO | None = None,
    ) -> None:
        self._process = process
        self._control = control
        self._command = command
        self._stderr = stderr
        self._greeting: socket.socket | None = None
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(self, _shut_down, process, control)
        self.info: dict[str, Any] = {}

    @classmethod
    def start(cls, *, python: str | None = None) -> Agent:
        """Start an agent: directly with privilege, else through `sudo -n`.

        python: the interpreter that has bcc; None for the distribution's. Raises
        AgentUnavailableError, with the next step, where neither is possible.
        """
        agent = cls.launch(python=python)
        agent.greet()
        return agent

    @classmethod
    def launch(cls, *, python: str | None = None) -> Agent:
        """Start an agent without waiting for it; `greet` waits, and raises what went wrong."""
        command = _command(python or _distribution_python())
        with ExitStack() as on_failure:
            with _descriptors():
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
                on_failure.callback(ours.close)
                on_failure.callback(theirs.close)
                stderr = _memory_file()
                on_failure.callback(stderr.close)
            process = _started(command, theirs, stderr)
            theirs.close()
            agent = cls(process, ours, command, stderr)
            with suppress(AgentDiedError):
                agent._greeting = agent._request({"type": "hello", "version": VERSION})
            on_failure.pop_all()
        return agent

    @property
    def alive(self) -> bool:
        """Whether the agent's process still runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the agent (of sudo, where it runs through sudo)."""
        return self._process.pid

    def run(self, program: Program) -> Channel:
        """Start a run. Raises AgentDiedError where the agent has ended."""
        return Channel(self._request({"type": "run", "program": program.to_json()}))

    def check(self, specs: Sequence[str]) -> dict[str, str | None]:
        """Return for each hook why this kernel cannot run it; None where it can."""
        reply = self._ask({"type": "check", "hooks": list(specs)})
        return dict(reply["hooks"])

    def list(self, kind: str, prefix: str = "", target: str = "", limit: int = 200) -> list[str]:
        """Return names of hooks of a kind ("tracepoint", "uprobe", ...) that start with prefix."""
        request = {"type": "list", "kind": kind, "prefix": prefix, "target": target, "limit": limit}
        return [str(name) for name in self._ask(request)["names"]]

    def doctor(self) -> dict[str, Any]:
        """Return what the agent can do on this machine; see agent/server/doctor.py."""
        return dict(self._ask({"type": "doctor"})["findings"])

    def dismiss(self) -> None:
        """End the agent without waiting for it, as `close` does."""
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the agent and every run of it."""
        self._finalizer()
        if self._stderr is not None:
            self._stderr.close()

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def greet(self) -> None:
        """Wait until the agent serves. Raises AgentUnavailableError, with the next step."""
        try:
            if self._greeting is None:
                raise _died("it ended at once")
            self.info = self._answer(self._greeting, START_TIMEOUT_S)
        except (AgentDiedError, TimeoutError) as error:
            self._finalizer()  # first, so that its stderr is complete
            why = self._error_output() or str(error)
            raise _unavailable(self._command, why) from None
        except BaseException:
            self.close()
            raise
        finally:
            if self._stderr is not None:
                self._stderr.close()

    def _error_output(self) -> str:
        text = os.pread(self._stderr.fileno(), 1 << 16, 0) if self._stderr is not None else b""
        return text.decode("utf-8", "replace").strip()

    def _ask(self, request: dict[str, Any], timeout_s: float = REQUEST_TIMEOUT_S) -> dict[str, Any]:
        return self._answer(self._request(request), timeout_s)

    def _answer(self, sock: socket.socket, timeout_s: float) -> dict[str, Any]:
        sock.settimeout(timeout_s)
        try:
            for frame in Channel(sock).frames():
                return frame.header
        finally:
            sock.close()
        raise _died("it did not answer")

    def _request(self, request: dict[str, Any]) -> socket.socket:
        # A newline first: an interrupt may have cut the request before this one short.
        line = memoryview(b"\n" + encode_header(request))
        if len(line) > MAX_LINE:
            raise AgentRefusedError(
                f"the request is longer than {MAX_LINE >> 20} MiB", field=str(request["type"])
            )
        with _descriptors():
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with self._lock, theirs:
                sent = socket.send_fds(self._control, [line], [theirs.fileno()])
                if sent < len(line):
                    self._control.sendall(line[sent:])
        except BaseException as error:
            ours.close()
            if isinstance(error, OSError):
                raise _died(str(error)) from None
            raise
        return ours


def _shut_down(process: subprocess.Popen[bytes], control: socket.socket) -> None:
    control.close()
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        with suppress(PermissionError):  # started through sudo, it belongs to root
            process.kill()
            process.wait()


def _memory_file() -> BinaryIO:
    return os.fdopen(os.memfd_create("kernelscope-agent-stderr"), "rb", buffering=0)


def _started(
    command: Sequence[str], control: socket.socket, stderr: BinaryIO
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=control.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,  # a Ctrl-C in the terminal is for the client
            cwd="/",
        )
    except OSError as error:
        raise _unavailable(command, str(error)) from None


@contextmanager
def _descriptors() -> Iterator[None]:
    """Turn the error of a process without free file descriptors into a RequirementError."""
    try:
        yield
    except OSError as error:
        raise RequirementError(
            f"the client cannot open a socket: {error.strerror}",
            hint="close files, or raise the limit of open files (ulimit -n)",
            requirement="file descriptors",
        ) from None


def _died(why: str) -> AgentDiedError:
    return AgentDiedError(
        f"the agent, or the process of the run, ended: {why}",
        hint="nothing is left attached; run it again, and a new agent is started",
    )


def _distribution_python() -> str:
    for path in _PYTHONS:
        if os.access(path, os.X_OK):
            return path
    raise AgentUnavailableError(
        f"the distribution's Python was not found ({', '.join(_PYTHONS)})",
        hint="apt install python3-bpfcc (kernelscope doctor has the commands of other systems)",
        command=[],
        stderr="",
    )


def _ambient_capabilities() -> int:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("CapAmb:")), "CapAmb: 0")
    return int(line.split()[1], 16)


def _command(python: str) -> list[str]:
    if sys.platform != "linux":
        raise AgentUnavailableError(
            f"BPF is a part of the Linux kernel, and this is {sys.platform}",
            hint="open a recording instead: kernelscope.open(FILE)",
            command=[],
            stderr="",
        )
    agent = [python, "-I", str(_MAIN)]
    wanted = 1 << _CAP_BPF | 1 << _CAP_PERFMON
    if os.geteuid() == 0 or _ambient_capabilities() & wanted == wanted:
        return agent
    sudo = shutil.which("sudo")
    if sudo is None:
        raise _unprivileged("this user is not root and there is no sudo", agent)
    return [sudo, "-n", "--", *agent]


def _unprivileged(why: str, command: Sequence[str]) -> AgentUnavailableError:
    return AgentUnavailableError(
        f"tracing needs privilege: {why}",
        hint=_privilege_hint(command),
        command=list(command),
        stderr="",
    )


def _privilege_hint(command: Sequence[str]) -> str:
    """Return how to get privilege; no sudoers line for an agent that others than root can edit."""
    place = next((p for p in (_MAIN, *_MAIN.parents) if _others_can_write(p)), None)
    if place is not None:
        return (
            "run as root, or install kernelscope where only root can write and allow it in sudoers;"
            f" others than root can change {place}, and with it what a sudoers line would run as"
            " root"
        )
    return (
        "run as root, or have an administrator allow the agent in sudoers: "
        f"{os.environ.get('USER', 'you')} ALL=(root) NOPASSWD: {' '.join(command)}"
        " (this is equivalent to root: BPF can read all memory)"
    )


def _others_can_write(place: Path) -> bool:
    """Return whether others than root can replace a file or folder; not those of a sticky one."""
    try:
        status = place.stat()
    except OSError:
        return False
    if status.st_uid != 0:
        return True
    return bool(status.st_mode & 0o022) and not status.st_mode & stat.S_ISVTX


def _unavailable(command: Sequence[str], output: str) -> AgentUnavailableError:
    """Return the error for an agent that did not start. output: its stderr, or why it ended."""
    of_sudo = output.startswith("sudo:") or "not allowed" in output
    if Path(command[0]).name == "sudo" and of_sudo:
        return _unprivileged(f"sudo reports: {output.splitlines()[0]}", command[3:])
    last = output.splitlines()[-1] if output else "it printed no error"
    return AgentUnavailableError(
        f"the agent did not start: {last}",
        hint="kernelscope doctor shows what is missing",
        command=list(command),
        stderr=output,
    )
