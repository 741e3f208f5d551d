"""The agent's root process: takes requests and forks a child for each.

It never parses, compiles, loads or reads anything itself, and never waits for the client. A
request is one line and one socket (SCM_RIGHTS) over the control socket; the forked child answers on
that socket, and its end, whatever the cause, closes every BPF object that it created. The server
ends when the control socket closes or the client's process has ended, and its children end with it.
"""

from __future__ import annotations

import gc
import mmap
import os
import re
import select
import selectors
import signal
import socket
import stat
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from kernelscope.agent.btf import ids
from kernelscope.agent.kernel import process
from kernelscope.agent.kernel.os_errors import as_error
from kernelscope.agent.run.send_queue import SendQueue
from kernelscope.agent.server import handlers, policy
from kernelscope.agent.server.context import Context
from kernelscope.agent.server.request_reader import RequestReader
from kernelscope.errors import AgentDiedError, AgentRefusedError, KernelScopeError

IDLE_BEFORE_WARMING_S = 0.5
GRACE_S = 0.7  # for a child to detach; a second after the client's end nothing may be attached
STDERR_KEPT = 16 << 10
MAX_LAST_MESSAGES = 64
MAX_OTHERS = 32  # requests at a time beyond the runs, which take a slot each


@dataclass
class Child:
    """A forked child: the socket that it answers on, and the file that is its stderr.

    attaching: memory shared with it, whose first byte is 1 once it starts to attach. Before that
    it may be killed; afterwards it must detach by itself.
    """

    sock: socket.socket
    stderr: int
    attaching: mmap.mmap

    def close(self) -> None:
        """Close what the server has of it."""
        os.close(self.stderr)
        self.attaching.close()


class Server:
    """Forks a child for each request that comes in over `control`."""

    def __init__(self, control: socket.socket, context: Context) -> None:
        self.context = context
        self.children: dict[int, Child] = {}
        self._control = control
        self._requests = RequestReader(control)
        self._last_messages: list[SendQueue] = []
        self._selector = selectors.DefaultSelector()
        self._hangups = select.epoll()  # of the children's sockets: their clients are gone
        self._wakeup, self._signalled = socket.socketpair()
        self._client: int | None = None
        self._preloaded = False

    def serve(self) -> None:
        """Serve until the client is gone; then end every child."""
        self._watch()
        warm = False
        try:
            while True:
                idle = None if warm or self.children else IDLE_BEFORE_WARMING_S
                events = self._selector.select(idle)
                if not events and not warm:
                    warm = True
                    self._warm()
                if not all(self._handle(key.data) for key, _ in events):
                    return
        finally:
            self._end_children()

    def _end_children(self) -> None:
        """Have every child detach and end; kill those that take too long."""
        self._signal_children(signal.SIGTERM)
        patience = time.monotonic() + GRACE_S
        while self.children and time.monotonic() < patience:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            self.children.pop(pid, None)
            if not pid:
                time.sleep(0.005)
        self._signal_children(signal.SIGKILL)

    def _signal_children(self, number: int) -> None:
        for pid in self.children:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _watch(self) -> None:
        for sock in (self._wakeup, self._signalled):
            sock.setblocking(False)
        signal.set_wakeup_fd(self._signalled.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._control, selectors.EVENT_READ, "control")
        self._selector.register(self._wakeup, selectors.EVENT_READ, "child")
        self._selector.register(self._hangups, selectors.EVENT_READ, "hangup")
        self._client = process.peer_pidfd(self._control)
        if self._client is not None:
            self._selector.register(self._client, selectors.EVENT_READ, "client gone")

    def _handle(self, what: Any) -> bool:
        """Handle an event; return False if the server is to end."""
        if what == "control":
            return self._receive()
        if what == "child":
            self._reap()
        elif what == "hangup":
            self._end_abandoned()
        elif isinstance(what, SendQueue):
            self._send_last(what)
        return bool(what != "client gone")

    def _warm(self) -> None:
        # A failure here (no bcc, no BTF) is reported when a run is requested, with its fix.
        with suppress(KernelScopeError, OSError, ImportError):
            handlers.preload_rest()
            ids.warm()
            self.context.compiler().warm()
        gc.collect()
        self._keep()

    def _keep(self) -> None:
        gc.freeze()  # so that the collector does not copy every shared page in each child
        gc.enable()

    def _end_abandoned(self) -> None:
        """Kill children whose client is gone before they attached: compiling may take minutes."""
        gone = {fd for fd, _ in self._hangups.poll(0)}
        for pid, child in self.children.items():
            if child.sock.fileno() in gone:
                self._hangups.unregister(child.sock)
                if not child.attaching[0]:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    # --- requests --------------------------------------------------------------------------------

    def _receive(self) -> bool:
        """Read the control socket; return False if the client is gone."""
        received = self._requests.receive()
        for line, sock in received or ():
            self._dispatch(line, sock)
        if received and not self._preloaded:
            self._preloaded = True
            handlers.preload()  # once for all runs, while the client reads the answer to hello
            self._keep()
        return received is not None

    def _dispatch(self, line: bytes, sock: socket.socket) -> None:
        try:
            if len(self.children) >= self.context.policy.max_runs + MAX_OTHERS:
                raise AgentRefusedError(
                    f"{len(self.children)} requests are active, which is this agent's limit",
                    hint="wait for one of them",
                    field="max_runs",
                )
            self._fork(line, sock)
        except (KernelScopeError, OSError) as error:
            self._report(sock, as_error(error, "starting a process for the run"))

    def _fork(self, line: bytes, sock: socket.socket) -> None:
        child = Child(sock, os.memfd_create("kernelscope-stderr"), mmap.mmap(-1, mmap.PAGESIZE))
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            child.close()
            raise
        if pid == 0:
            self._become_child(line, child, server)
        self.children[pid] = child
        self._hangups.register(sock, 0)  # a hang-up is always reported

    def _become_child(self, line: bytes, child: Child, server: int) -> NoReturn:
        status = 1
        try:
            process.die_with_parent(server)
            gc.enable()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(child.stderr, 2)
            self._close_inherited()
            handlers.serve(line, child.sock, self.context, child.attaching)
            status = 0
        except process.Ended:
            status = 0
        except BaseException:  # the child must never return into the server's loop
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)

    def _close_inherited(self) -> None:
        # Another run's socket left open here would hide that run's end from its client.
        self._selector.close()
        self._hangups.close()
        self._requests.close()
        for child in self.children.values():
            child.sock.close()
            child.close()
        for message in self._last_messages:
            message.sock.close()
        for sock in (self._wakeup, self._signalled):
            sock.close()
        if self._client is not None:
            os.close(self._client)

    # --- children's ends -------------------------------------------------------------------------

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
            with suppress(FileNotFoundError):
                self._hangups.unregister(child.sock)
            if status:
                self._report(child.sock, _death(status, child.stderr))
            else:
                child.sock.close()
            child.close()

    def _report(self, sock: socket.socket, error: KernelScopeError) -> None:
        """Report an error, and close the socket when its reader has taken it."""
        message = SendQueue(sock, limit=0)
        message.push({"type": "error", "error": error.to_json()}, always=True)
        message.push({"type": "end"}, always=True)
        self._send_last(message)

    def _send_last(self, message: SendQueue) -> None:
        waits = message in self._last_messages
        try:
            done = message.flush()
        except OSError:
            done = True
        if not done and not waits and len(self._last_messages) < MAX_LAST_MESSAGES:
            self._last_messages.append(message)
            self._selector.register(message.sock, selectors.EVENT_WRITE, message)
            return
        if done and waits:
            self._last_messages.remove(message)
            self._selector.unregister(message.sock)
        if done or not waits:
            message.sock.close()


def _death(status: int, stderr: int) -> AgentDiedError:
    size = os.fstat(stderr).st_size
    text = os.pread(stderr, STDERR_KEPT, max(0, size - STDERR_KEPT)).decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if re.search(r"\w", line)]
    last = lines[-1] if lines else "it printed nothing"
    return AgentDiedError(
        f"the run's process {_how(os.waitstatus_to_exitcode(status))}: {last}",
        hint="nothing is left attached; run the cell again",
        stderr=text,
        status=os.waitstatus_to_exitcode(status),
    )


def _how(code: int) -> str:
    if code >= 0:
        return f"exited with {code}"
    known = {number.value: number.name for number in signal.Signals}
    return f"was killed by {known.get(-code, f'signal {-code}')}"


def _control_socket() -> socket.socket:
    if not stat.S_ISSOCK(os.fstat(0).st_mode):
        raise AgentRefusedError(
            "the agent's standard input is not a socket",
            hint="KernelScope starts it, not a person; sudo's log_input must be off for it",
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
    """Run the agent on the control socket that is its standard input; return only on failure."""
    try:
        control = _control_socket()
        user = process.caller()
        process.isolate()
        context = Context(policy.load(), tracefs=process.private_tracefs(), user=user)
    except (KernelScopeError, OSError) as error:
        sys.stderr.write(f"{as_error(error, 'starting the agent')}\n")
        return 2
    Server(control, context).serve()
    os._exit(0)  # Python's own shutdown takes 10 ms, and the client waits
