"""One run, in its own process: compile, load, attach, drain until the end, read the maps.

The order at the end matters: hooks are detached first, so that the last drain and reading are
final, and nothing is counted twice or missed.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from kernelscope.agent.attach import attach, hook_patterns, loader, task_tree
from kernelscope.agent.attach.kinds import links
from kernelscope.agent.attach.kinds.kernel_view import KernelView
from kernelscope.agent.kernel import process
from kernelscope.agent.kernel.os_errors import as_error
from kernelscope.agent.run import attached_message
from kernelscope.agent.run.bpf_stats import RunStats
from kernelscope.agent.run.limits import Limits
from kernelscope.agent.run.reader import RunReader
from kernelscope.agent.run.send_queue import SendQueue, enlarge_buffer
from kernelscope.errors import AgentRefusedError, AttachError, KernelScopeError, RunError
from kernelscope.protocol import hook_spec
from kernelscope.protocol.frames import decode_header
from kernelscope.protocol.hook_grammar import ParsedHook
from kernelscope.protocol.losses import Loss
from kernelscope.protocol.program import Filters, Hook, Program
from kernelscope.protocol.validation import integer

if TYPE_CHECKING:
    from kernelscope.agent.compile.compiler import Compiler, Object

STATUS_EVERY_NS = 200_000_000
FLUSH_TIMEOUT_S = 60.0
HOLD_TIMEOUT_S = 120.0  # for the slowest of the programs that start together to load


class Run:
    """Runs one program and sends its events and tables.

    compiler: returns the compiler, which is created when it is first needed.
    tracefs: where it is mounted, None where it is not. limits: what the policy allows the run.
    """

    def __init__(
        self,
        program: Program,
        sock: socket.socket,
        compiler: Callable[[], Compiler],
        tracefs: Path | None,
        limits: Limits,
    ) -> None:
        self.program = program
        self.sock = sock
        self.tracefs = tracefs
        self._compiler = compiler
        self._limits = limits
        self.timings: dict[str, float] = {}
        self.stopped_by = ""
        enlarge_buffer(sock)
        self.queue = SendQueue(sock, program.spool_bytes)
        self.attachments: list[attach.Attachment] = []
        self._doing = "preparing the program"
        self._commands = bytearray()
        self._reading_due = False
        self._started = not program.hold
        self._ends_ns = 0
        self._woken_by_ring = True  # the last wait ended by a ring or by its timeout

    def execute(self) -> None:
        """Run to the end; an error is sent after everything that was sent before.

        Raises BrokenPipeError or ConnectionResetError if the client is gone, and TimeoutError if
        it takes nothing any more.
        """
        closing: Thread | None = None
        try:
            self._attach()
            try:
                self._drain_until_end()
                self.stats.close()
                ended_ns = time.monotonic_ns()  # detaching waits for the kernel, 20 ms and more
            finally:
                with process.end_deferred():
                    closing = attach.detach(self.attachments)
            self.timings["detach"] = (time.monotonic_ns() - ended_ns) / 1e9
            if self.stopped_by != "client":
                self._doing = "reading the tables"
                self._finish(ended_ns)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            raise
        except (KernelScopeError, OSError) as error:
            self._send({"type": "error", "error": as_error(error, self._doing).to_json()})
            self._send({"type": "end"})
            self._flush_all()
        finally:
            if closing is not None:
                with process.end_deferred():
                    closing.join()

    def _attach(self) -> None:
        began = mark = time.monotonic()
        # Nobody asks about the system calls of the server and of this process.
        program = replace(self.program, exclude=(*self.program.exclude, os.getppid()))
        view = KernelView(self.tracefs, program.target_pid, restricted=self._limits.restricted)
        if "bpf_usdt_readarg" in program.source:
            from kernelscope.agent.attach import usdt_arguments

            program = usdt_arguments.prepare(program, view)
        program = task_tree.prepare(program, loader.pid_namespace())
        self._doing = "compiling the program"
        compiler = self._compiler()
        obj = compiler.compile(program, self._wait_for_compiler)
        self.timings.update(obj.timings)
        mark = self._lap("compile", mark)
        self._doing = "loading the program"
        bindings = self._bindings(obj, program, view)
        own = hook_patterns.own_params(bindings, self.tracefs)
        self._require_memory(obj)
        lines = partial(compiler.source_lines, program)
        loaded = loader.load(obj, program, bindings, os.getpid(), lines, own)
        mark = self._lap("load", mark)
        self._doing = "opening the tables"
        self.reader = RunReader(
            obj,
            loaded.map_fds,
            program,
            self.queue,
            self.tracefs,
            hide_addresses=self._limits.restricted,
        )
        self._require_client()
        self._hold()
        self._doing = "attaching the program"
        process.end_at_signal(os.getppid())
        self._attach_in_order(loaded, bindings, program.filters, view)
        self.began_ns = time.monotonic_ns()
        self._lap("attach", mark)
        self._lap("total", began)
        self._doing = "reading the tables"
        self.stats = RunStats(loaded.programs)
        self._announce(obj, hook_patterns.names(bindings))

    def _wait_for_compiler(self, finished: int) -> None:
        """Wait until an fd is readable. Raises ConnectionResetError if the client is gone, and
        RunError if it stops the run.
        """
        poller = select.poll()
        poller.register(finished, select.POLLIN)
        while self._listen(60.0, [finished]):
            if poller.poll(0):
                return
        if self.stopped_by == "client":
            raise ConnectionResetError
        raise RunError("the run was stopped while its program was compiled")

    def _attach_in_order(
        self,
        loaded: loader.Loaded,
        bindings: Sequence[tuple[Hook, ParsedHook]],
        filters: Filters,
        view: KernelView,
    ) -> None:
        """Attach what follows a tree of tasks, enter the present ones, then attach the rest."""
        first = task_tree.count(filters)
        early = replace(loaded, fds=loaded.fds[:first])
        self.attachments = attach.attach(early, bindings[:first], view)
        try:
            task_tree.fill(filters, loaded.map_fds)
            late = replace(loaded, fds=loaded.fds[first:])
            self.attachments += attach.attach(late, bindings[first:], view)
        except BaseException:
            attach.detach(self.attachments).join()
            raise

    def _require_memory(self, obj: Object) -> None:
        """Raise AgentRefusedError if the program would take more memory than the policy allows."""
        allowed = self._limits.memory_bytes
        wanted = self.program.spool_bytes + sum(map(loader.map_bytes, obj.maps))
        if allowed is not None and wanted > allowed:
            raise AgentRefusedError(
                f"the run would take up to {wanted >> 20:,} MiB, and this machine's policy allows"
                f" {allowed >> 20:,}",
                hint="make it smaller: --ring, --max-entries, or the sizes in the C",
                field="max_memory_mb",
            )

    def _require_client(self) -> None:
        """Raise ConnectionResetError if the client is gone: attach nothing."""
        poller = select.poll()
        poller.register(self.sock, 0)
        if poller.poll(0):
            raise ConnectionResetError

    def _hold(self) -> None:
        """Wait for `start` if the run is to start together with others."""
        if not self._started:
            self._send({"type": "loaded"})
        deadline = time.monotonic() + HOLD_TIMEOUT_S
        while not self._started:
            self.queue.flush()
            if not self._listen(1.0):
                raise ConnectionResetError
            if time.monotonic() >= deadline:
                raise RunError(
                    f"the program was loaded, and no start arrived for {HOLD_TIMEOUT_S:.0f} s",
                    hint="run it again",
                )

    def _bindings(
        self, obj: Object, program: Program, view: KernelView
    ) -> list[tuple[Hook, ParsedHook]]:
        names = task_tree.names_of([function.name for function in obj.functions])
        wanted = (*program.hooks, *hook_spec.implied(names))
        bindings = hook_patterns.resolve(wanted, view)
        if len(bindings) <= task_tree.count(program.filters):
            raise AttachError(
                f"no hook is given for {' and '.join(names) or 'this program'}",
                hint="Name the hook in C (TRACEPOINT_PROBE, kprobe__x, ...) or with --attach"
                ' "tracepoint:sched:sched_switch=FUNCTION".',
                hook="",
                function=names[0] if names else "",
                matches=[],
            )
        return bindings

    def _lap(self, name: str, since: float) -> float:
        now = time.monotonic()
        self.timings[name] = round(now - since, 6)
        return now

    def _announce(self, obj: Object, hook_names: Mapping[int, str]) -> None:
        self._send(
            {
                **attached_message.compiled(obj),
                **attached_message.machine(self.program.enums),
                "type": "attached",
                "layouts": [layout.to_json() for layout in self.reader.layouts],
                "hooks": [{"function": one.function, "spec": one.spec} for one in self.attachments],
                "hook_names": hook_names,
                "timings": self.timings,
                "began_ns": self.began_ns,
            }
        )
        self.queue.flush()

    # --- while it runs ---------------------------------------------------------------------------

    def _drain_until_end(self) -> None:
        self._end_at(self.began_ns + (self.program.duration_ns or 1 << 62))
        if self._walk(first=True) and not self.program.interval_ns:
            self.stopped_by = "done"
            return
        next_status = self.began_ns + STATUS_EVERY_NS
        interval = self.program.interval_ns
        next_reading = self.began_ns + interval
        while True:
            tick = self.reader.drain()
            now = time.monotonic_ns()
            if now >= self._ends_ns:
                self.stopped_by = "duration"
                return
            if now >= next_status:
                self._send_status(now)
                next_status = now + STATUS_EVERY_NS
            if self.program.measure:
                self.stats.tick(now)
            if interval and now >= next_reading:
                self._walk()
                self._reading_due = True
                next_reading = max(next_reading + interval, now)
            if self._reading_due and not self.queue.full:  # a slow client must not fill the memory
                self._reading_due = False
                self.reader.read_maps(final=False, between=self._keep_draining)
                self.reader.send_stacks(new=True)  # a reading of a map needs its names now
            self.queue.flush()
            wake = min(next_status, self._ends_ns, *([next_reading] if interval else []))
            if self.program.measure:
                wake = min(wake, self.stats.next_tick_ns)
            if not self._wait(tick, (wake - now) / 1e9):
                return

    def _walk(self, *, first: bool = False) -> bool:
        """Run the iterators; return whether the program has no other hooks."""
        walks = [item for item in self.attachments if hook_spec.parse(item.spec).kind == "iter"]
        if first and walks and self.program.measure:
            self.stats.tick(time.monotonic_ns())
        for item in walks:
            links.walk(item.attached.fds[0], self._keep_draining)
        return len(walks) == len(self.attachments)

    def _end_at(self, at_ns: int) -> None:
        """End at that moment of the monotonic clock, or earlier if the policy says so."""
        self._ends_ns = min(at_ns, self.began_ns + int(self._limits.duration_s * 1e9))

    def _send_status(self, now: int) -> None:
        self.reader.prime_symbols()
        if self.queue.full:  # a week of these would fill the memory
            return
        status = {"type": "status", "at_ns": now, "spooled_bytes": self.queue.bytes}
        status["runs"] = self.stats.so_far()
        self._send({**status, **self.reader.losses()})

    def _wait(self, tick_s: float, most_s: float) -> bool:
        """Wait for a command, the next tick or a ring that fills; return False at the run's end."""
        end = time.monotonic() + min(tick_s, max(0.0, most_s))
        rings = self.reader.quiet_rings() if self.reader.look_s < tick_s else []
        while True:
            left = max(0.0, end - time.monotonic())
            look = left if rings else min(left, self.reader.look_s)
            if not self._listen(look, rings):
                return False
            if not self._woken_by_ring or time.monotonic() >= end or self.reader.is_filling():
                return True
            rings = []

    def _listen(self, timeout_s: float, rings: Sequence[int] = ()) -> bool:
        """Wait for a command, or a record in `rings`; return False if the run is to end."""
        poller = select.poll()
        events = select.POLLIN | (select.POLLOUT if self.queue.bytes else 0)
        poller.register(self.sock, events)
        for ring in rings:
            poller.register(ring, select.POLLIN)
        found = poller.poll(timeout_s * 1000)
        self._woken_by_ring = all(fd in rings for fd, _ in found)
        for fd, event in found:
            if fd in rings:
                continue
            if event & (select.POLLHUP | select.POLLERR) and not event & select.POLLIN:
                self.stopped_by = "client"
                return False
            if event & select.POLLIN and not self._take_commands():
                return False
        return True

    def _take_commands(self) -> bool:
        try:
            data = self.sock.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            data = b""
        if not data:
            self.stopped_by = "client"
            return False
        self._commands += data
        while b"\n" in self._commands:
            line, _, rest = bytes(self._commands).partition(b"\n")
            self._commands = bytearray(rest)
            header = decode_header(line)[0]
            command = header.get("type")
            self._started = self._started or command == "start"
            if command == "until":
                self._end_at(integer(header.get("at_ns"), "until.at_ns", 0, 1 << 63))
            if command == "stop":
                self.stopped_by = "stopped"
                return False
            self._reading_due = self._reading_due or command == "snapshot"
        if len(self._commands) > 4096:  # no command is that long
            self.stopped_by = "client"
            return False
        return True

    # --- at the end ------------------------------------------------------------------------------

    def _finish(self, ended_ns: int) -> None:
        self._drain_the_rest()
        self.reader.read_maps(final=True, between=self._make_room)
        self.reader.send_stacks()
        losses = self.reader.losses()
        losses["lost"][Loss.MISSED_RUNS] = self.stats.recursion_misses()
        receipt = {
            "type": "receipt",
            "started_ns": self.began_ns,
            "duration_s": round((ended_ns - self.began_ns) / 1e9, 6),
            "exit": self.stopped_by,
            "detach_s": self.timings["detach"],
            "runs": self.stats.result(),
            **losses,
        }
        self._send(receipt)
        self._send({"type": "end"})
        self._flush_all()

    def _send(self, header: Mapping[str, Any]) -> None:
        self.queue.push(header, always=True)

    def _drain_the_rest(self) -> None:
        """Empty the rings. Nothing fills them now: an unfinished record stays unfinished."""
        left = self.reader.pending()
        patience = time.monotonic() + 1.0
        while left and time.monotonic() < patience:
            self._make_room()
            self.reader.drain()
            if self.reader.pending() < left:
                patience = time.monotonic() + 1.0
            left = self.reader.pending()

    def _keep_draining(self) -> None:
        """Drain the rings while a large map is being read."""
        self.reader.drain()
        self.queue.flush()

    def _make_room(self) -> None:
        """Let a slow client catch up: the remaining records cannot be lost any more."""
        if self.queue.full:
            self._flush_all()
        else:
            self.queue.flush()

    def _flush_all(self) -> None:
        """Wait for the client to take everything; give up if it takes nothing at all."""
        if not self.queue.drain(FLUSH_TIMEOUT_S):
            raise TimeoutError(f"the client took nothing for {FLUSH_TIMEOUT_S:.0f} s")
