"""One run, in its own process: compile, load, attach, drain until it is over, read what is left.

The order at the end matters: hooks are detached first, so that what is then drained and read is
final and nothing is counted twice or missed.
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
from kernelscope.agent.run.reader import Reading
from kernelscope.agent.run.send_queue import Spool, widen
from kernelscope.errors import AttachError, KernelScopeError, RunError
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


class Run:
    """Runs one program and sends what it finds.

    compiler: returns the compiler, which is created when it is first needed.
    tracefs: where it is mounted, None where it is not. limit_s: the longest that a run may last.
    """

    def __init__(
        self,
        program: Program,
        sock: socket.socket,
        compiler: Callable[[], Compiler],
        tracefs: Path | None,
        limit_s: float,
    ) -> None:
        self.program = program
        self.sock = sock
        self.tracefs = tracefs
        self._compiler = compiler
        self._limit_ns = int(limit_s * 1e9)
        self.timings: dict[str, float] = {}
        self.stopped_by = ""
        widen(sock)
        self.spool = Spool(sock, program.spool_bytes)
        self.attachments: list[attach.Attachment] = []
        self._doing = "preparing the program"
        self._commands = bytearray()
        self._reading_due = False
        self._started = not program.hold
        self._ends_ns = 0
        self._only_rings = True  # that told the last wait to end; or its time was over

    def execute(self) -> None:
        """Run to the end; what goes wrong is sent behind whatever was sent before.

        Raises BrokenPipeError or ConnectionResetError where the notebook's side is gone, and
        TimeoutError where it takes nothing any more.
        """
        closing: Thread | None = None
        try:
            self._attach()
            try:
                self._drain_until_over()
                self.stats.close()
                ended_ns = time.monotonic_ns()  # detaching waits for the kernel, 20 ms and more
            finally:
                with process.undisturbed():
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
                with process.undisturbed():
                    closing.join()

    def _attach(self) -> None:
        began = mark = time.monotonic()
        # The server's and this process's own system calls are not what anyone asks about.
        program = replace(self.program, exclude=(*self.program.exclude, os.getppid()))
        view = KernelView(self.tracefs, program.target_pid)
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
        lines = partial(compiler.source_lines, program)
        loaded = loader.load(obj, program, bindings, os.getpid(), lines, own)
        mark = self._lap("load", mark)
        self._doing = "opening the tables"
        self.reading = Reading(obj, loaded.map_fds, program, self.spool, self.tracefs)
        self._require_client()
        self._hold()
        self._doing = "attaching the program"
        process.end_gently(os.getppid())
        self._attach_all(loaded, bindings, program.filters, view)
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

    def _attach_all(
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

    def _require_client(self) -> None:
        """Raise ConnectionResetError where the notebook went away meanwhile: attach nothing."""
        poller = select.poll()
        poller.register(self.sock, 0)
        if poller.poll(0):
            raise ConnectionResetError

    def _hold(self) -> None:
        """Wait for the word where the run is to begin together with others."""
        if not self._started:
            self._send({"type": "loaded"})
        while not self._started:
            self.spool.flush()
            if not self._listen(1.0):
                raise ConnectionResetError

    def _bindings(
        self, obj: Object, program: Program, view: KernelView
    ) -> list[tuple[Hook, ParsedHook]]:
        names = task_tree.names_of([function.name for function in obj.functions])
        wanted = (*program.hooks, *hook_spec.implied(names))
        bindings = hook_patterns.resolve(wanted, view)
        if len(bindings) <= task_tree.count(program.filters):
            raise AttachError(
                f"nothing says where {' and '.join(names) or 'this program'} should be attached",
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
                "layouts": [layout.to_json() for layout in self.reading.layouts],
                "hooks": [{"function": one.function, "spec": one.spec} for one in self.attachments],
                "hook_names": hook_names,
                "timings": self.timings,
                "began_ns": self.began_ns,
            }
        )
        self.spool.flush()

    # --- while it runs ---------------------------------------------------------------------------

    def _drain_until_over(self) -> None:
        self._end_at(self.began_ns + (self.program.duration_ns or 1 << 62))
        if self._walk(first=True) and not self.program.interval_ns:
            self.stopped_by = "done"
            return
        next_status = self.began_ns + STATUS_EVERY_NS
        interval = self.program.interval_ns
        next_reading = self.began_ns + interval
        while True:
            tick = self.reading.drain()
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
            if self._reading_due and not self.spool.full:  # what nobody takes must not pile up
                self._reading_due = False
                self.reading.read_maps(final=False, between=self._keep_draining)
                self.reading.send_stacks(new=True)  # who reads a map meanwhile wants names in it
            self.spool.flush()
            wake = min(next_status, self._ends_ns, *([next_reading] if interval else []))
            if self.program.measure:
                wake = min(wake, self.stats.next_tick_ns)
            if not self._wait(tick, (wake - now) / 1e9):
                return

    def _walk(self, *, first: bool = False) -> bool:
        """Go through the iterators; return whether the program consists of them alone."""
        walks = [item for item in self.attachments if hook_spec.parse(item.spec).kind == "iter"]
        if first and walks and self.program.measure:
            self.stats.tick(time.monotonic_ns())
        for item in walks:
            links.walk(item.attached.fds[0], self._keep_draining)
        return len(walks) == len(self.attachments)

    def _end_at(self, at_ns: int) -> None:
        """End at that moment of the monotonic clock, or as early as the policy wants."""
        self._ends_ns = min(at_ns, self.began_ns + self._limit_ns)

    def _send_status(self, now: int) -> None:
        self.reading.prime_symbols()
        if self.spool.full:  # nobody reads: a week of these would fill the memory
            return
        status = {"type": "status", "at_ns": now, "spooled_bytes": self.spool.bytes}
        status["runs"] = self.stats.so_far()
        self._send({**status, **self.reading.losses()})

    def _wait(self, tick_s: float, most_s: float) -> bool:
        """Wait for a command, the next tick or a ring that fills; False when the run is over."""
        end = time.monotonic() + min(tick_s, max(0.0, most_s))
        rings = self.reading.quiet_rings() if self.reading.look_s < tick_s else []
        while True:
            left = max(0.0, end - time.monotonic())
            look = left if rings else min(left, self.reading.look_s)
            if not self._listen(look, rings):
                return False
            if not self._only_rings or time.monotonic() >= end or self.reading.is_filling():
                return True
            rings = []

    def _listen(self, timeout_s: float, rings: Sequence[int] = ()) -> bool:
        """Wait for a command, or a record in `rings`; False when the run is to end."""
        poller = select.poll()
        events = select.POLLIN | (select.POLLOUT if self.spool.bytes else 0)
        poller.register(self.sock, events)
        for ring in rings:
            poller.register(ring, select.POLLIN)
        found = poller.poll(timeout_s * 1000)
        self._only_rings = all(fd in rings for fd, _ in found)
        for fd, event in found:
            if fd in rings:
                continue
            if event & (select.POLLHUP | select.POLLERR) and not event & select.POLLIN:
                self.stopped_by = "client"
                return False
            if event & select.POLLIN and not self._obey():
                return False
        return True

    def _obey(self) -> bool:
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

    # --- when it is over -------------------------------------------------------------------------

    def _finish(self, ended_ns: int) -> None:
        self._drain_the_rest()
        self.reading.read_maps(final=True, between=self._make_room)
        self.reading.send_stacks()
        losses = self.reading.losses()
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
        self.spool.push(header, always=True)

    def _drain_the_rest(self) -> None:
        """Empty the rings; nothing fills them any more, so what does not move never will."""
        left = self.reading.pending()
        patience = time.monotonic() + 1.0
        while left and time.monotonic() < patience:
            self._make_room()
            self.reading.drain()
            if self.reading.pending() < left:
                patience = time.monotonic() + 1.0
            left = self.reading.pending()

    def _keep_draining(self) -> None:
        """A large map takes a while to read, and a ring fills meanwhile."""
        self.reading.drain()
        self.spool.flush()

    def _make_room(self) -> None:
        """Let a slow notebook catch up: what is left now cannot be lost any more."""
        if self.spool.full:
            self._flush_all()
        else:
            self.spool.flush()

    def _flush_all(self) -> None:
        """Wait for the notebook to take everything; give up on one that takes nothing at all."""
        if not self.spool.drain(FLUSH_TIMEOUT_S):
            raise TimeoutError(f"the notebook took nothing for {FLUSH_TIMEOUT_S:.0f} s")
