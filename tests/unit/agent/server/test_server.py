"""The agent's server: what the other side may send, and what each request's process leaves."""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kernelscope.agent.server import handlers, server
from kernelscope.agent.server.context import Context
from kernelscope.agent.server.policy import Policy
from kernelscope.errors import AgentRefusedError
from kernelscope.protocol.frames import MAX_LINE, VERSION, Frame, FrameReader, send_frame

PATIENCE_S = 10.0
HELLO = {"type": "hello", "version": VERSION}


class Stub(Context):
    """Has nothing to warm up."""

    def compiler(self) -> Any:
        raise OSError


def _answer(line: bytes, sock: socket.socket, context: Context, attaching: mmap.mmap) -> None:
    """Replace `requests.serve`, with requests that only a test needs."""
    kind = json.loads(line)["type"] if line.startswith(b'{"type":"test') else ""
    if kind == "test crash":
        os.write(2, b"first words\nlast words\n")
        os.abort()
    if kind == "test fail":
        raise ZeroDivisionError("divided")
    if kind == "test run":
        try:
            context.take_slot()
        except AgentRefusedError as error:
            send_frame(sock, {"type": "error", "error": error.to_json()})
            send_frame(sock, {"type": "end"})
            return
    if kind in ("test hold", "test run"):
        send_frame(sock, {"type": "pid", "pid": os.getpid()})
        sock.recv(1)
        return
    if kind == "test full":  # a reader that is behind, and a process that dies
        sock.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                sock.send(b"x" * 100)
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "test fds":
        send_frame(sock, {"type": "fds", "sockets": sockets()})
        return
    if kind in ("test compiling", "test attached"):
        attaching[0] = kind == "test attached"
        send_frame(sock, {"type": "pid", "pid": os.getpid()})
        time.sleep(60)  # looks at its socket no more
    requests_serve(line, sock, context, attaching)


requests_serve = handlers.serve


def open_fds(pid: int | str = "self") -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def sockets() -> int:
    found = 0
    for fd in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            found += str(fd.readlink()).startswith("socket:")
    return found


class Running:
    """A server in a process of its own, and this end of its control socket."""

    def __init__(self, policy: Policy) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.asked: list[socket.socket] = []
        self.inherited = sockets() - 2
        self.pid = os.fork()
        if self.pid == 0:
            self.control.close()
            faulthandler.disable()
            sys.stderr = sys.__stderr__  # past pytest's capture
            handlers.serve = _answer
            server.Server(theirs, Stub(policy, None)).serve()
            os._exit(0)
        theirs.close()

    def ask(self, request: dict[str, Any] | bytes, *extra: int) -> FrameReader:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            line = request if isinstance(request, bytes) else _line(request)
            socket.send_fds(self.control, [line], [theirs.fileno(), *extra])
        ours.settimeout(PATIENCE_S)
        self.asked.append(ours)
        return FrameReader(ours)

    @property
    def fds(self) -> int:
        """How many the server holds when it waits and no request's process is left."""
        assert becomes(lambda: self.processes == [] and self.waits)
        return open_fds(self.pid)

    @property
    def waits(self) -> bool:
        """Whether the server sleeps: it has closed what a process that ended had."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"

    @property
    def processes(self) -> list[str]:
        return Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()

    def close(self) -> None:
        for sock in (self.control, *self.asked):
            sock.close()
        os.waitpid(self.pid, 0)


def _line(request: dict[str, Any]) -> bytes:
    return json.dumps(request, separators=(",", ":")).encode() + b"\n"


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running(Policy(max_runs=3))
    yield made
    made.close()


def read(reader: FrameReader) -> Frame:
    frame = reader.read()
    assert frame is not None
    return frame


def refusal(reader: FrameReader) -> dict[str, Any]:
    frame = read(reader)
    assert frame.type == "error"
    assert read(reader).type == "end"
    assert reader.read() is None
    return dict(frame.header["error"])


def becomes(condition: Callable[[], bool], within_s: float = PATIENCE_S) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return False


def greets(running: Running) -> bool:
    return read(running.ask(HELLO)).type == "hello"


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_hello_describes_the_agent(running: Running) -> None:
    hello = read(running.ask(HELLO)).header
    assert (hello["version"], hello["pid"]) == (VERSION, running.pid)


def test_another_version_is_refused(running: Running) -> None:
    error = refusal(running.ask({"type": "hello", "version": VERSION + 1}))
    assert error["class"] == "AgentRefusedError"
    assert error["details"]["field"] == "version"


@pytest.mark.parametrize(
    "line",
    [
        b"garbage\n",
        b"\xff\xfe\n",
        b"3\n",
        b"{}\n",
        b'{"type":[]}\n',
        b'{"type":"shell"}\n',
        b"[" * 100_000 + b"\n",
        b"9" * 100_000 + b"\n",
        b'{"type":"run"}\n',
        b'{"type":"run","program":{"name":"x","source":3}}\n',
        b'{"type":"check","hooks":[3]}\n',
        b'{"type":"check","hooks":"tracepoint:a:b"}\n',
        b'{"type":"check","hooks":["a\\u0000b"]}\n',
        b'{"type":"list","kind":3}\n',
        b'{"type":"list","kind":"kprobe","limit":true}\n',
        b'{"type":"list","kind":"uprobe","target":"/\\u0000"}\n',
    ],
)
def test_garbage_is_refused_and_affects_nobody_else(running: Running, line: bytes) -> None:
    assert refusal(running.ask(line))["class"] == "AgentRefusedError"
    assert greets(running)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"type": "run", "program": {"name": "x", "source": "int x;"}}, "prelude"),
        ({"type": "list", "kind": "uprobe", "target": "/etc/shadow"}, "kind"),
    ],
    ids=["custom C", "a look into a file"],
)
def test_policy_is_applied(request_: dict[str, Any], field: str) -> None:
    running = Running(Policy(source="builtin"))
    try:
        assert refusal(running.ask(_line(request_)))["details"]["field"] == field
    finally:
        running.close()


def test_line_in_pieces_is_one_request(running: Running) -> None:
    line = _line(HELLO)
    reader = running.ask(line[:5])
    time.sleep(0.05)
    running.control.sendall(line[5:])
    assert read(reader).type == "hello"


def test_truncated_request_affects_only_itself(running: Running) -> None:
    cut = running.ask(b'{"type":"hel')
    after = running.ask(b"\n" + _line(HELLO))
    assert refusal(cut)["details"]["field"] == "frame"
    assert read(after).type == "hello"


def test_line_without_a_socket_is_dropped(running: Running) -> None:
    running.control.sendall(_line(HELLO))
    time.sleep(0.05)
    assert greets(running)


@pytest.mark.parametrize("kind", ["file", "pipe", "datagram", "network"])
def test_fd_that_is_no_unix_stream_socket_is_closed(running: Running, kind: str) -> None:
    if kind == "pipe":
        reading, fd = os.pipe()
    else:
        reading = -1
        fd = {
            "file": lambda: os.open("/dev/zero", os.O_RDWR),
            "datagram": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).detach(),
            "network": lambda: socket.socket(socket.AF_INET).detach(),
        }[kind]()
    assert greets(running)
    before = running.fds
    socket.send_fds(running.control, [_line(HELLO)], [fd])
    os.close(fd)
    assert greets(running)
    assert becomes(lambda: running.fds == before)
    if reading >= 0:
        assert os.read(reading, 1) == b""
        os.close(reading)


def test_extra_sockets_of_a_request_do_not_pile_up(running: Running) -> None:
    assert greets(running)
    before = running.fds
    for count in (2, 8, 20):
        assert read(running.ask(HELLO, *[running.control.fileno()] * count)).type == "hello"
    assert becomes(lambda: running.fds == before)


def test_sockets_without_a_line_do_not_pile_up(running: Running) -> None:
    assert greets(running)
    before = running.fds
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        for _ in range(50):
            socket.send_fds(running.control, [b"\n"], [theirs.fileno()])
        assert greets(running)
    assert becomes(lambda: running.fds == before)


def test_endless_line_ends_the_server(running: Running) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):
        running.control.sendall(b"x" * (MAX_LINE + (1 << 20)))
    assert becomes(lambda: os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT) is not None)


def test_run_beyond_the_limit_is_refused(running: Running) -> None:
    held = [running.ask({"type": "test run"}) for _ in range(3)]
    assert all(read(one).type == "pid" for one in held)
    assert refusal(running.ask({"type": "test run"}))["details"]["field"] == "max_runs"
    held[0].sock.close()
    assert becomes(lambda: read(running.ask({"type": "test run"})).type == "pid")


def test_other_requests_are_answered_at_the_limit(running: Running) -> None:
    held = [running.ask({"type": "test run"}) for _ in range(3)]
    assert all(read(one).type == "pid" for one in held)
    assert read(running.ask(HELLO)).type == "hello"
    assert read(running.ask({"type": "list", "kind": "profile"})).type == "listed"


def test_flood_of_requests_is_refused(running: Running) -> None:
    held = [running.ask({"type": "test hold"}) for _ in range(3 + server.MAX_OTHERS)]
    assert all(read(one).type == "pid" for one in held)
    assert "requests are active" in refusal(running.ask(HELLO))["message"]


def test_crash_is_reported_with_its_signal_and_last_line(running: Running) -> None:
    error = refusal(running.ask({"type": "test crash"}))
    assert error["class"] == "AgentDiedError"
    assert "SIGABRT: last words" in error["message"]
    assert error["details"]["stderr"].startswith("first words\n")
    assert error["details"]["status"] == -signal.SIGABRT
    assert greets(running)


def test_unexpected_exception_is_reported_with_its_traceback(running: Running) -> None:
    error = refusal(running.ask({"type": "test fail"}))
    assert error["class"] == "AgentDiedError"
    assert "ZeroDivisionError: divided" in error["message"]
    assert "Traceback" in error["details"]["stderr"]


def test_slow_reader_delays_nobody_and_still_gets_the_error(running: Running) -> None:
    slow = running.ask({"type": "test full"})
    time.sleep(0.1)
    assert greets(running)
    data = b""
    while chunk := slow.sock.recv(1 << 16):
        data += chunk
    assert b"SIGKILL" in data.lstrip(b"x")
    assert greets(running)


def test_reader_that_never_read_leaves_nothing(running: Running) -> None:
    assert greets(running)
    before = running.fds
    slow = [running.ask({"type": "test full"}) for _ in range(3)]
    time.sleep(0.1)
    assert greets(running)
    for one in slow:
        one.sock.close()
    assert becomes(lambda: running.fds == before)


def test_child_has_no_other_requests_socket(running: Running) -> None:
    held = running.ask({"type": "test hold"})
    assert read(held).type == "pid"
    assert read(running.ask({"type": "test fds"})).header["sockets"] == running.inherited + 1


@pytest.mark.parametrize("how", ["control socket closed", "server killed"])
def test_every_run_ends_with_the_server(running: Running, how: str) -> None:
    held = [running.ask({"type": "test hold"}) for _ in range(3)]
    pids = [read(one).header["pid"] for one in held]
    if how == "server killed":
        os.kill(running.pid, signal.SIGKILL)
    else:
        running.control.close()
    assert becomes(lambda: all(map(gone, pids)))
    assert [one.read() for one in held] == [None] * 3


def test_child_that_has_not_attached_ends_with_its_client(running: Running) -> None:
    running.ask({"type": "test compiling"}).read()
    assert len(running.processes) == 1
    running.asked.pop().close()
    assert becomes(lambda: running.processes == [])


def test_attached_child_is_left_to_detach_by_itself(running: Running) -> None:
    answer = running.ask({"type": "test attached"}).read()
    assert answer is not None
    running.asked.pop().close()
    assert not becomes(lambda: running.processes == [], within_s=0.3)
    os.kill(answer.header["pid"], signal.SIGKILL)


def test_requests_from_several_threads_get_their_own_answers(running: Running) -> None:
    lock, answers = threading.Lock(), []

    def ask() -> None:
        for _ in range(5):
            with lock:
                reader = running.ask({"type": "test hold"})
            answers.append(read(reader).header["pid"])
            reader.sock.close()
            assert becomes(lambda: gone(answers[-1]))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 10


def test_failed_fork_is_an_error_with_its_errno(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    control, theirs = socket.socketpair()
    ours, answered = socket.socketpair()
    monkeypatch.setattr(os, "fork", refuse)
    with control, theirs, ours:
        before = open_fds()
        served = server.Server(theirs, Stub(Policy(), None))
        served._dispatch(_line(HELLO), answered)
        error = refusal(FrameReader(ours))
        served._close_inherited()
        assert open_fds() <= before
    assert error["class"] == "RunError"
    assert "starting a process for the run failed" in error["message"]
    assert "EAGAIN" in error["message"]


def test_stdin_that_is_no_socket_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    saved = os.dup(0)
    os.dup2(reading, 0)
    try:
        with pytest.raises(AgentRefusedError, match="not a socket"):
            server._control_socket()
    finally:
        os.dup2(saved, 0)
        for fd in (saved, reading, writing):
            os.close(fd)
