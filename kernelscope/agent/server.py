"""The agent's own process: takes requests, forks for each, and holds nothing else.

It never compiles, loads or reads anything itself. A request is one JSON line and one socket
(SCM_RIGHTS) over the control socket; the forked child answers on that socket, and its death,
whatever the cause, is what closes every BPF object that it made. The server ends when the control
socket closes or the notebook's process is gone, and its children die with it.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import stat
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from kernelscope.agent import btf_ids, policy, requests, system
from kernelscope.agent.protocol import MAX_LINE, VERSION, decode_header, send_frame
from kernelscope.errors import AgentDiedError, AgentRefusedError, KernelScopeError

IDLE_BEFORE_WARMING_S = 0.5
STDERR_KEPT = 16 << 10


@dataclass
class Child:
    """A forked child: the socket that it answers on and what it wrote to its stderr."""

    sock: socket.socket
    stderr: int


class Server:
    """Forks a child for each request that comes in over `control`."""

    def __init__(self, control: socket.socket, context: requests.Context) -> None:
        self.control = control
        self.context = context
        self.children: dict[int, Child] = {}
        self._pending = bytearray()
        self._sockets: list[socket.socket] = []
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._signalled = socket.socketpair()

    def serve(self) -> None:
        """Serve until the notebook's side is gone; then end every child."""
        self._watch()
        warm = False
        try:
            while True:
                idle = None if warm or self.children else IDLE_BEFORE_WARMING_S
                events = self._selector.select(idle)
                if not events and not warm:
                    warm = True
                    self._warm()
                for key, _ in events:
                    if key.data == "client gone" or (key.data == "control" and not self._receive()):
                        return
                    if key.data == "child":
                        self._reap()
        finally:
            for pid in self.children:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _watch(self) -> None:
        for sock in (self._wakeup, self._signalled):
            sock.setblocking(False)
        signal.set_wakeup_fd(self._signalled.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self.control, selectors.EVENT_READ, "control")
        self._selector.register(self._wakeup, selectors.EVENT_READ, "child")
        client = system.peer_pidfd(self.control)
        if client is not None:
            self._selector.register(client, selectors.EVENT_READ, "client gone")

    def _warm(self) -> None:
        # A failure here (no bcc, no BTF) is told to whoever asks for a run, with its remedy.
        with suppress(KernelScopeError, OSError, ImportError):
            btf_ids.warm()
            self.context.compiler().warm()
        gc.collect()
        gc.freeze()  # keeps the collector from copying every shared page in each child

    def _receive(self) -> bool:
        """Take what the control socket has; False when the other side is gone."""
        try:
            data, fds, _, _ = socket.recv_fds(self.control, 1 << 16, 8)
        except ConnectionResetError:
            return False
        self._sockets += [socket.socket(fileno=fd) for fd in fds]
        if not data:
            return False
        self._pending += data
        if len(self._pending) > MAX_LINE:
            return False
        while b"\n" in self._pending and self._sockets:
            line, _, rest = self._pending.partition(b"\n")
            self._pending = bytearray(rest)
            self._dispatch(bytes(line), self._sockets.pop(0))
        return True

    def _dispatch(self, line: bytes, sock: socket.socket) -> None:
        try:
            request, _ = decode_header(line)
            if request.get("type") == "hello":
                send_frame(sock, self._hello(request))
                sock.close()
                requests.preload()  # while the notebook reads the greeting, and once for all runs
                return
            if len(self.children) >= self.context.policy.max_runs:
                raise AgentRefusedError(
                    f"{len(self.children)} runs are active, which is this agent's limit",
                    hint="stop one of them first",
                    field="max_runs",
                )
            self._fork(request, sock)
        except (KernelScopeError, OSError) as error:
            _report(sock, error)
            sock.close()

    def _hello(self, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("version") != VERSION:
            raise AgentRefusedError(
                f"the agent speaks version {VERSION} of the protocol, not {request.get('version')}",
                hint="install the same version of KernelScope on both sides",
                field="version",
            )
        return {"type": "hello", "version": VERSION, **self.context.describe()}

    def _fork(self, request: dict[str, Any], sock: socket.socket) -> None:
        stderr = os.memfd_create("kernelscope-stderr")
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_child(request, sock, stderr, server)
        self.children[pid] = Child(sock, stderr)

    def _become_child(
        self, request: dict[str, Any], sock: socket.socket, stderr: int, server: int
    ) -> NoReturn:
        status = 1
        try:
            system.die_with_parent(server)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(stderr, 2)
            self._close_inherited()
            status = _serve_request(request, sock, self.context)
        except BaseException:  # the child must never return into the server's loop
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)

    def _close_inherited(self) -> None:
        # Another run's socket left open here would hide from its client that the run has ended.
        for child in self.children.values():
            child.sock.close()
            os.close(child.stderr)
        for sock in (self.control, self._wakeup, self._signalled, *self._sockets):
            sock.close()

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            self._wakeup.recv(4096)
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            child = self.children.pop(pid, None)
            if child is None:
                continue
            if status != 0:
                _report(child.sock, _death(status, child.stderr))
            child.sock.close()
            os.close(child.stderr)


def _serve_request(request: dict[str, Any], sock: socket.socket, context: requests.Context) -> int:
    """Serve one request in its own process; returns the process's exit status."""
    try:
        requests.serve(request, sock, context)
    except (KernelScopeError, OSError) as error:
        _report(sock, error)
    return 0


def _report(sock: socket.socket, error: KernelScopeError | OSError) -> None:
    if not isinstance(error, KernelScopeError):
        error = AgentDiedError(f"the agent met an unexpected error: {error}", errno=error.errno)
    sock.setblocking(True)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 5, 0))
    with suppress(OSError):
        send_frame(sock, {"type": "error", "error": error.to_json()})
        send_frame(sock, {"type": "end"})


def _death(status: int, stderr: int) -> AgentDiedError:
    size = os.fstat(stderr).st_size
    said = os.pread(stderr, STDERR_KEPT, max(0, size - STDERR_KEPT)).decode("utf-8", "replace")
    code = os.waitstatus_to_exitcode(status)
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
    last = said.strip().splitlines()[-1:] or ["it said nothing"]
    return AgentDiedError(
        f"the run's process {how}: {last[0]}",
        hint="nothing is left attached; run the cell again",
        stderr=said,
        status=code,
    )


def _control_socket() -> socket.socket:
    if not stat.S_ISSOCK(os.fstat(0).st_mode):
        raise AgentRefusedError(
            "the agent's standard input is not a socket",
            hint="it is started by KernelScope, not by hand; sudo's log_input must be off for it",
            field="stdin",
        )
    control = socket.socket(fileno=os.dup(0))
    if control.family != socket.AF_UNIX or control.type != socket.SOCK_STREAM:
        raise AgentRefusedError("the agent's standard input is not a Unix socket", field="stdin")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return control


def main() -> int:
    """Run the agent on the control socket that is its standard input."""
    try:
        control = _control_socket()
        system.isolate()
        context = requests.Context(policy.load(), tracefs=system.private_tracefs())
    except KernelScopeError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    Server(control, context).serve()
    return 0
