"""Which of bcc's tools are run, with which arguments, and the load that makes events for each.

    python3 tool_loads.py NAME

prints "ready", waits for a line, makes the load NAME (a second or two) and waits for the end of
its input: a tool can be pointed at the process before the load begins. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap
import os
import pty
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SECONDS = 1.0


@dataclass(frozen=True)
class Tool:
    """One run of a tool. `{pid}` in an argument is the load's process, `{disk}` a disk's name.

    lacks: why a cell cannot give rows though the tool does; reported with the outcome.
    """

    name: str
    load: str
    arguments: tuple[str, ...] = ()
    program: str = ""
    lacks: str = ""

    @property
    def path(self) -> Path:
        """Where the package put the tool."""
        return Path("/usr/sbin") / (self.program or f"{self.name}-bpfcc")


TOOLS = (
    Tool("argdist", "reads", ("-C", "t:syscalls:sys_enter_read():u64:args->count")),
    Tool("bashreadline", "shell"),
    Tool("biolatpcts", "disk", ("{disk}",)),
    Tool("biopattern", "disk"),
    Tool("bitesize", "disk"),
    Tool("cpuunclaimed", "busy"),
    Tool("exitsnoop", "processes"),
    Tool("funccount", "reads", ("c:read",)),
    Tool("funcinterval", "names", ("c:getaddrinfo",)),
    Tool("funclatency", "reads", ("c:read",)),
    Tool("funcslower", "memory", ("-u", "1", "c:malloc", "-a", "1")),
    Tool("gethostlatency", "names"),
    Tool("hardirqs", "disk"),
    Tool("memleak", "memory", ("-p", "{pid}", "1")),
    Tool("netqtop", "tcp", ("-n", "lo", "-i", "1"), lacks="it fills a map itself"),
    Tool("profile", "busy"),
    Tool("pythongc", "garbage", ("-l", "python", "{pid}"), "ugc"),
    Tool("pythonstat", "garbage", ("-l", "python"), "ustat"),
    Tool("runqlat", "switches"),
    Tool("runqlen", "busy"),
    Tool("runqslower", "busy", ("1",)),
    Tool("softirqs", "tcp"),
    Tool("sslsniff", "tls"),
    Tool("stackcount", "reads", ("t:syscalls:sys_enter_read",)),
    Tool("syscount", "reads"),
    Tool("tcpcong", "retransmits"),
    Tool("tcpdrop", "retransmits"),
    Tool("tcplife", "tcp"),
    Tool("tcpretrans", "retransmits"),
    Tool("tcpstates", "tcp"),
    Tool("threadsnoop", "threads"),
    Tool("trace", "reads", ('t:syscalls:sys_enter_read "%d", args->count',)),
    Tool("wakeuptime", "switches"),
)


def _until_time_is_over() -> Iterator[int]:
    end, count = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        yield count
        count += 1


def reads() -> None:
    """Read a few bytes at a time through the C library."""
    with Path("/dev/zero").open("rb", buffering=0) as file:
        for _ in _until_time_is_over():
            file.read(7)
            time.sleep(0.0001)


def disk() -> None:
    """Write and read a file past the page cache."""
    block = mmap.mmap(-1, 1 << 16)
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:
        direct = os.open(file.name, os.O_RDWR | os.O_DIRECT)
        for count in _until_time_is_over():
            os.pwritev(direct, [block], (count % 64) << 16)
            os.preadv(direct, [block], (count % 64) << 16)
            time.sleep(0.005)
        os.close(direct)


def _spin() -> None:
    for _ in _until_time_is_over():
        pass


def _children(count: int, work: Callable[[], None]) -> None:
    pids = []
    for _ in range(count):
        pid = os.fork()
        if not pid:
            work()
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)


def busy() -> None:
    """Keep more processes running than there are CPUs."""
    _children(2 * (os.cpu_count() or 1) + 1, _spin)


def processes() -> None:
    """Start short processes."""
    for _ in range(23):
        subprocess.run(["/bin/true"], check=True)


def names() -> None:
    """Look up names."""
    for _ in range(23):
        socket.getaddrinfo("localhost", 80)
        time.sleep(0.02)


def memory() -> None:
    """Allocate with malloc, slowly enough for a probe on each call."""
    kept = []
    for _ in _until_time_is_over():
        kept.append(bytearray(7919))
        time.sleep(0.002)


def switches() -> None:
    """Pass one byte between two processes."""
    left, right = socket.socketpair()

    def echo() -> None:
        while byte := right.recv(1):
            right.send(byte)

    pid = os.fork()
    if not pid:
        left.close()
        echo()
        os._exit(0)
    for _ in _until_time_is_over():
        left.send(b"x")
        left.recv(1)
        time.sleep(0.0005)
    left.close()
    right.close()
    os.waitpid(pid, 0)


def tcp() -> None:
    """Connect over loopback, exchange a few bytes and close."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(23):
            client = socket.create_connection(server.getsockname())
            served, _address = server.accept()
            client.sendall(b"question")
            served.recv(64)
            served.sendall(b"answer")
            client.recv(64)
            client.close()
            served.close()
            time.sleep(0.02)


def retransmits() -> None:
    """Connect to a server whose queue is full: each later SYN is dropped and sent again."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(5):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(server.getsockname())
        server.settimeout(0.4)
        for _ in range(8):
            with contextlib.suppress(TimeoutError):
                served, _address = server.accept()
                stack.enter_context(served)


def tls() -> None:
    """Exchange bytes over TLS by OpenSSL's own calls; an anonymous cipher needs no certificate."""
    library = ctypes.CDLL("libssl.so.3")
    pointer, number = ctypes.c_void_p, ctypes.c_int
    library.TLS_server_method.restype = library.TLS_client_method.restype = pointer
    library.SSL_CTX_new.restype, library.SSL_CTX_new.argtypes = pointer, [pointer]
    library.SSL_CTX_set_cipher_list.argtypes = [pointer, ctypes.c_char_p]
    library.SSL_CTX_ctrl.argtypes = [pointer, number, ctypes.c_long, pointer]
    library.SSL_new.restype, library.SSL_new.argtypes = pointer, [pointer]
    library.SSL_set_fd.argtypes = [pointer, number]
    library.SSL_connect.argtypes = library.SSL_accept.argtypes = [pointer]
    library.SSL_read.argtypes = library.SSL_write.argtypes = [pointer, ctypes.c_char_p, number]
    set_max_version, tls12 = 124, 0x303

    def end(method: Callable[[], int], sock: socket.socket) -> int:
        context = library.SSL_CTX_new(method())
        library.SSL_CTX_ctrl(context, set_max_version, tls12, None)
        library.SSL_CTX_set_cipher_list(context, b"aNULL:@SECLEVEL=0")
        connection: int = library.SSL_new(context)
        library.SSL_set_fd(connection, sock.fileno())
        return connection

    left, right = socket.socketpair()

    def serve() -> None:
        served, buffer = end(library.TLS_server_method, right), ctypes.create_string_buffer(64)
        library.SSL_accept(served)
        for _ in range(23):
            library.SSL_write(served, b"answer", library.SSL_read(served, buffer, 64) and 6)

    thread = threading.Thread(target=serve)
    thread.start()
    client, buffer = end(library.TLS_client_method, left), ctypes.create_string_buffer(64)
    library.SSL_connect(client)
    for _ in range(23):
        library.SSL_write(client, b"question", 8)
        library.SSL_read(client, buffer, 64)
    thread.join()


def threads() -> None:
    """Start short threads."""
    for _ in range(23):
        thread = threading.Thread(target=time.sleep, args=(0.001,))
        thread.start()
        thread.join()


def garbage() -> None:
    """Collect Python's garbage."""
    for _ in _until_time_is_over():
        gc.collect()
        time.sleep(0.005)


def shell() -> None:
    """Type lines into an interactive bash."""
    pid, terminal = pty.fork()
    if not pid:
        os.execv("/bin/bash", ["bash", "--norc", "--noprofile", "-i"])
    for _ in range(7):
        time.sleep(0.1)
        os.write(terminal, b"true\n")
        os.read(terminal, 4096)
    os.write(terminal, b"exit\n")
    time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


LOADS: dict[str, Callable[[], None]] = {
    load.__name__: load
    for load in (
        reads, disk, busy, processes, names, memory, switches, tcp, retransmits, tls, threads,
        garbage, shell,
    )
}  # fmt: skip


def main() -> None:
    """Make the load that the command line names when a line arrives."""
    load = LOADS[sys.argv[1]]
    Path("/proc/self/comm").write_text("python")  # ustat looks for this name
    print("ready", flush=True)
    sys.stdin.readline()
    load()
    print("done", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
