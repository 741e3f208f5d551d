"""One run, in its own process: compile, load, attach, drain until the end, read the maps.

The order at the end matters: hooks are detached first, so that the last drain and reading are
final, and nothing is counted twice or missed.
"""

from __future__ import annotations

import mmap
import os
import select
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from kernelscope.agent.attach import attach, hook_patterns, host_pid, loader, task_tree
from kernelscope.agent.attach.kinds import links
from kernelscope.agent.attach.kinds.kernel_view import KernelView
from kernelscope.agent.kernel import clock, process
from kernelscope.agent.kernel.os_errors import as_error
from kernelscope.agent.run import attached_message
from kernelscope.agent.run.bpf_stats import RunStats
from kernelscope.agent.run.client import Client
from kernelscope.agent.run.limits import Limits
from kernelscope.agent.run.reader import RunReader
from kernelscope.errors import AgentRefusedError, AttachError, KernelScopeError, RunError
from kernelscope.protocol import hook_spec
from kernelscope.protocol.hook_grammar import ParsedHook
from kernelscope.protocol.losses import Loss
from kernelscope.protocol.program import Filters, Hook, Program

if TYPE_CHECKING:
    from kernelscope.agent.compile.compiler import Compiler, Object

STATUS_EVERY_NS = 200_000_000
HOLD_TIMEOUT_S = 120.0  # for the slowest of the programs that start together to load


@dataclass(frozen=True)
class Machine:
    """What a run gets from its server.

    compiler: returns the compiler, which is created when it is first needed.
    tracefs: where it is mounted, None if it is not. limits: what the policy allows the run.
    """

    compiler: Callable[[], Compiler]
    tracefs: Path | None
    limits: Limits


class Run:
    """Runs one program and sends its events and tables.

    attaching: shared with the server; its first byte is 1 while the program is attached, and
        otherwise the server may kill this process.
    """

    def __init__(
        self,
        program: Program,
        sock: socket.socket,
        machine: Machine,
        attaching: mmap.mmap,
    ) -> None:
        self.program = program
        self.tracefs = machine.tracefs
        self._compiler = machine.compiler
        self._limits = machine.limits
        self._attaching = attaching
        self.timings: dict[str, float] = {}
        self._ended_by = ""
        self.client = Client(sock, program.spool_bytes, started=not program.hold)
        self.attachments: list[attach.Attachment] = []
        self._doing = "preparing the program"
        self._unattached: list[str] = []

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
                ended_ns = clock.monotonic_ns()  # detaching waits for the kernel, 20 ms and more
            finally:
                with process.end_deferred():
                    closing = attach.detach(self.attachments, self._nothing_is_attached)
            self.timings["detach"] = (clock.monotonic_ns() - ended_ns) / 1e9
            if self.client.stopped_by != "client":
                self._doing = "reading the tables"
                self._finish(ended_ns)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            raise
        except (KernelScopeError, OSError) as error:
            self.client.send({"type": "error", "error": as_error(error, self._doing).to_json()})
            self.client.send({"type": "end"})
            self.client.flush_all()
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
        namespace = loader.pid_namespace()
        program = task_tree.prepare(program, namespace)
        self._doing = "looking for the process"
        program = host_pid.prepare(program, namespace, self._compiler, view)
        self._doing = "compiling the program"
        compiler = self._compiler()
        obj = compiler.compile(program, self._wait_for_compiler)
        self.timings.update(obj.timings)
        mark = self._lap("compile", mark)
        self._doing = "loading the program"
        bindings = self._bindings(obj, program, view)
        own = hook_patterns.own_params(bindings, self.tracefs)
        self._require_memory(obj)
        lines = partial(compiler.source_lines, program, obj.warnings)
        loaded = loader.load(obj, program, bindings, os.getpid(), lines, own)
        mark = self._lap("load", mark)
        self._doing = "opening the tables"
        self.reader = RunReader(
            obj,
            loaded.map_fds,
            program,
            self.client.queue,
            self.tracefs,
            hide_addresses=self._limits.restricted,
        )
        self.client.require()
        self._hold()
        self._doing = "attaching the program"
        process.end_at_signal(os.getppid())
        self._attaching[0] = 1
        self._attach_in_order(loaded, bindings, program.filters, view)
        self.began_ns = clock.monotonic_ns()
        self._lap("attach", mark)
        self._lap("total", began)
        self._doing = "reading the tables"
        self.stats = RunStats(loaded.programs)
        self._announce(obj, hook_patterns.names(bindings))

    def _nothing_is_attached(self) -> None:
        """Let the server end this process again: naming stacks may take long."""
        self._attaching[0] = 0

    def _wait_for_compiler(self, finished: int) -> None:
        """Wait until an fd is readable. Raises ConnectionResetError if the client is gone, and
        RunError if it stops the run.
        """
        poller = select.poll()
        poller.register(finished, select.POLLIN)
        while self.client.listen(60.0, [finished]):
            if poller.poll(0):
                return
        if self.client.stopped_by == "client":
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

    def _hold(self) -> None:
        """Wait for `start` if the run is to start together with others."""
        if not self.client.started:
            self.client.send({"type": "loaded"})
        deadline = time.monotonic() + HOLD_TIMEOUT_S
        while not self.client.started:
            self.client.queue.flush()
            if not self.client.listen(1.0):
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
        named = {hook.function for hook in wanted}
        self._unattached = [name for name in names if name not in named]
        return bindings

    def _lap(self, name: str, since: float) -> float:
        now = time.monotonic()
        self.timings[name] = round(now - since, 6)
        return now

    def _announce(self, obj: Object, hook_names: Mapping[int, str]) -> None:
        self.client.send(
            {
                **attached_message.compiled(obj),
                "warnings": [
                    *obj.warnings,
                    *attached_message.unseen(self.program, [o.spec for o in self.attachments]),
                ],
                "unattached": self._unattached,
                **attached_message.machine(self.program.enums),
                "type": "attached",
                "layouts": [layout.to_json() for layout in self.reader.layouts],
                "hooks": [{"function": one.function, "spec": one.spec} for one in self.attachments],
                "hook_names": hook_names,
                "timings": self.timings,
                "began_ns": self.began_ns,
            }
        )
        self.client.queue.flush()

    # --- while it runs ---------------------------------------------------------------------------

    def _drain_until_end(self) -> None:
        if self._walk(first=True) and not self.program.interval_ns:
            self._ended_by = "done"
            return
        next_status = self.began_ns + STATUS_EVERY_NS
        interval = self.program.interval_ns
        next_reading = self.began_ns + interval
        while True:
            tick = self.reader.drain()
            now = clock.monotonic_ns()
            if now >= self._ends_ns():
                self._ended_by = "duration"
                return
            if now >= next_status:
                self._send_status(now)
                next_status = now + STATUS_EVERY_NS
            if self.program.measure:
                self.stats.tick(now)
            if interval and now >= next_reading:
                self._walk()
                self.client.reading_due = True
                next_reading = max(next_reading + interval, now)
            # A slow client must not fill the memory with readings.
            if self.client.reading_due and not self.client.queue.full:
                self.client.reading_due = False
                self.reader.read_maps(final=False, between=self._keep_draining)
                self.reader.send_stacks(new=True)  # a reading of a map needs its names now
            self.client.queue.flush()
            wake = min(next_status, self._ends_ns(), *([next_reading] if interval else []))
            if self.program.measure:
                wake = min(wake, self.stats.next_tick_ns)
            if not self._wait(tick, (wake - now) / 1e9):
                return

    def _walk(self, *, first: bool = False) -> bool:
        """Run the iterators; return whether the program has no other hooks."""
        walks = [item for item in self.attachments if hook_spec.parse(item.spec).kind == "iter"]
        if first and walks and self.program.measure:
            self.stats.tick(clock.monotonic_ns())
        for item in walks:
            links.walk(item.attached.fds[0], self._keep_draining)
        return len(walks) == len(self.attachments)

    def _ends_ns(self) -> int:
        """Return when the run ends, on the monotonic clock: at the latest when the policy says."""
        asked = self.client.until_ns or self.began_ns + (self.program.duration_ns or 1 << 62)
        return min(asked, self.began_ns + int(self._limits.duration_s * 1e9))

    def _send_status(self, now: int) -> None:
        self.reader.prime_symbols()
        if self.client.queue.full:  # a week of these would fill the memory
            return
        status = {"type": "status", "at_ns": now, "spooled_bytes": self.client.queue.bytes}
        status["runs"] = self.stats.so_far()
        status["clock"] = attached_message.clocks()
        self.client.send({**status, **self.reader.losses()})

    def _wait(self, tick_s: float, most_s: float) -> bool:
        """Wait for a command, the next tick or a ring that fills; return False at the run's end."""
        end = time.monotonic() + min(tick_s, max(0.0, most_s))
        rings = self.reader.quiet_rings() if self.reader.look_s < tick_s else []
        while True:
            left = max(0.0, end - time.monotonic())
            look = left if rings else min(left, self.reader.look_s)
            if not self.client.listen(look, rings):
                return False
            if not self.client.woken_by_ring or time.monotonic() >= end or self.reader.is_filling():
                return True
            rings = []

    # --- at the end ------------------------------------------------------------------------------

    def _finish(self, ended_ns: int) -> None:
        self._drain_the_rest()
        self.reader.read_maps(final=True, between=self.client.make_room)
        self.reader.send_stacks()
        losses = self.reader.losses()
        losses["lost"][Loss.MISSED_RUNS] = self.stats.recursion_misses()
        receipt = {
            "type": "receipt",
            "started_ns": self.began_ns,
            "duration_s": round((ended_ns - self.began_ns) / 1e9, 6),
            "exit": self.client.stopped_by or self._ended_by,
            "detach_s": self.timings["detach"],
            "runs": self.stats.result(),
            "warnings": self.reader.warnings(),
            **losses,
        }
        self.client.send(receipt)
        self.client.send({"type": "end"})
        self.client.flush_all()

    def _drain_the_rest(self) -> None:
        """Empty the rings. Nothing fills them now: an unfinished record stays unfinished."""
        left = self.reader.pending()
        patience = time.monotonic() + 1.0
        while left and time.monotonic() < patience:
            self.client.make_room()
            self.reader.drain()
            if self.reader.pending() < left:
                patience = time.monotonic() + 1.0
            left = self.reader.pending()

    def _keep_draining(self) -> None:
        """Drain the rings while a large map is being read."""
        self.reader.drain()
        self.client.queue.flush()
