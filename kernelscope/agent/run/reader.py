"""Read a run's tables out of the kernel and queue them as frames.

Rings and perf buffers are drained during the run; maps are read at its end, and in between if the
program asks for it; losses are read from the counters that the program itself keeps (`ks_lost`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelscope.agent.kernel import clock, maps, perf_buffer, syscalls
from kernelscope.agent.kernel.ring_buffer import Chunk, Ring
from kernelscope.agent.run.drain_pacing import FASTEST_TICK_S, SLOWEST_TICK_S, Pace
from kernelscope.errors import AgentRefusedError
from kernelscope.protocol.layout import Layout
from kernelscope.protocol.losses import Loss
from kernelscope.protocol.program import Program

if TYPE_CHECKING:
    from kernelscope.agent.compile.compiler import Object
    from kernelscope.agent.run.send_queue import SendQueue
    from kernelscope.agent.symbols.stacks import StackResolver

LOST_MAP = "ks_lost"
LOST_SLOTS = 65  # full maps, then rings, then stacks: as source/rewriter.py declares it
GROUP_BYTES = 4 << 20  # of chunks sent as one batch: less work per chunk, and still often
PRINTK = Layout("printk", "printk")
_NOT_MAPS = ("ring", "perf", "printk", "stack_trace")


class RunReader:
    """Reads one run's tables into its send queue.

    hide_addresses: send no addresses of stacks that could not be named: they would disclose where
    programs and the kernel are in memory, and words that only look like a return address.
    """

    def __init__(
        self,
        obj: Object,
        map_fds: Mapping[str, int],
        program: Program,
        queue: SendQueue,
        tracefs: Path | None,
        *,
        hide_addresses: bool = False,
    ) -> None:
        self._fds = map_fds
        self._queue = queue
        self._ring_names = obj.rings
        self.layouts = [_with_real_size(layout, map_fds) for layout in obj.layouts]
        if obj.printk and tracefs is not None:
            self.layouts.append(PRINTK)
        self._maps = _wanted_maps(self.layouts, program.tables)
        self._rings = {
            item.table: Ring(map_fds[item.table], item.max_entries, item.record_size)
            for item in self.layouts
            if item.kind == "ring"
        }
        self._perf = self._open_perf_buffers(tracefs)
        self._queue_full_lost = 0
        self._lost_when_full: int | None = None
        self._last_drain = time.monotonic()
        self._paces = {name: Pace(r.capacity, r.stride) for name, r in self._rings.items()}
        self._quiet = False
        self.look_s = min([SLOWEST_TICK_S, *(pace.look_s for pace in self._paces.values())])
        self._hide_addresses = hide_addresses
        self._kernel_names = program.kernel_names
        self._stacks = self._open_stacks() if program.symbolize else None
        if self._stacks is not None:
            self._stacks.watch((program.filters.pid, program.filters.tree, program.target_pid))

    def _open_perf_buffers(self, tracefs: Path | None) -> dict[str, perf_buffer.PerfBuffer]:
        buffers = {}
        for layout in self.layouts:
            if layout.kind == "perf":
                buffers[layout.table] = perf_buffer.PerfBuffer.of_map(self._fds[layout.table])
            elif layout.kind == "printk" and tracefs is not None:
                buffers[layout.table] = perf_buffer.PerfBuffer.of_printk(tracefs)
        return buffers

    def _open_stacks(self) -> StackResolver | None:
        fds = {
            item.table: self._fds[item.table] for item in self.layouts if item.kind == "stack_trace"
        }
        if not fds and not self._kernel_names:
            return None
        from kernelscope.agent.symbols.stacks import StackResolver

        return StackResolver(fds, self.layouts, self._kernel_names)

    # --- records ---------------------------------------------------------------------------------

    def pending(self) -> int:
        """Return how many bytes wait in the rings and perf buffers."""
        in_rings = sum(ring.pending() for ring in self._rings.values())
        return in_rings + sum(buffer.pending() for buffer in self._perf.values())

    def drain(self) -> float:
        """Move finished records into the queue; return the seconds until the next drain.

        A burst may start in between: the caller checks `is_filling` every `look_s`.
        """
        self._note_queue_full(self._queue.full)
        if self._queue.full:
            return FASTEST_TICK_S
        now = time.monotonic()
        elapsed = max(now - self._last_drain, 1e-4)
        self._last_drain = now
        self._quiet = True
        tick = SLOWEST_TICK_S
        for table, ring in self._rings.items():
            taken = self._drain_ring(table, ring)
            self._quiet = self._quiet and not taken
            tick = min(tick, self._paces[table].after(taken, elapsed))
        for table, buffer in self._perf.items():
            for cpu, data in buffer.drain():
                header = {"type": "batch", "table": table, "form": "perf", "cpu": cpu}
                self._push({**header, "at_ns": clock.monotonic_ns()}, data)
                if self._stacks is not None:
                    self._stacks.observe_perf(table, data)
                tick = min(tick, SLOWEST_TICK_S / 5)
        return max(tick, FASTEST_TICK_S)

    def quiet_rings(self) -> list[int]:
        """Return the rings' fds, to wait for a first record, if the last drain was empty."""
        return [self._fds[name] for name in self._rings] if self._quiet else []

    def is_filling(self) -> bool:
        """Return whether a ring should be drained now."""
        paces = self._paces
        return any(paces[name].is_filling(ring.pending()) for name, ring in self._rings.items())

    def _push(self, header: dict[str, Any], payload: bytes) -> None:
        # `always`: what was taken from the kernel is never dropped; `full` is checked before.
        self._queue.push(header, payload, always=True)

    def _drain_ring(self, table: str, ring: Ring) -> int:
        group = 0  # bytes of the batch that is not complete yet
        header: dict[str, Any] = {"type": "batch", "table": table, "form": "ring"}

        def take(chunk: Chunk, behind: int) -> None:
            nonlocal group
            data = memoryview(chunk.data)
            group = group + len(data) if behind and group + len(data) < GROUP_BYTES else 0
            shape = {"stride": chunk.stride, "records": chunk.records}
            more = {"more": True} if group else {}
            if self._stacks is not None:
                self._stacks.observe_records(table, data, chunk.stride)
            self._queue.pass_on({**header, **shape, "at_ns": clock.monotonic_ns(), **more}, data)

        taken = ring.pass_on(take)
        if group:  # the records behind the last chunk are not finished
            self._push({**header, "stride": 8, "records": 0, "at_ns": clock.monotonic_ns()}, b"")
        return taken

    # --- maps ------------------------------------------------------------------------------------

    def read_maps(self, *, final: bool, between: Callable[[], object]) -> None:
        """Push every map's entries, part by part; `between` is called after each part."""
        for layout in self._maps:
            at_ns = clock.monotonic_ns()
            parts = maps.read(self._fds[layout.table], layout)
            part: maps.Piece | None = next(parts, (0, b"", b""))
            number = 0
            while part is not None:
                count, keys, values = part
                part = next(parts, None)
                header = {
                    "type": "map",
                    "table": layout.table,
                    "at_ns": at_ns,
                    "part": number,
                    "last": part is None,
                    "final": final,
                    "count": count,
                }
                self._push(header, b"".join((keys, values)))
                if self._stacks is not None:
                    self._stacks.observe_map(layout.table, count, keys, values)
                number += 1
                between()

    # --- stacks ----------------------------------------------------------------------------------

    def prime_symbols(self) -> None:
        """Read symbols of the stacks' processes while they live; cheap if none is new."""
        if self._stacks is not None:
            self._stacks.read_events()
            for layout in self._maps:
                if self._stacks.wants(layout.table):
                    for count, keys, values in maps.read(self._fds[layout.table], layout):
                        self._stacks.observe_map(layout.table, count, keys, values)

    def send_stacks(self, *, new: bool = False) -> None:
        """Push the stack traces with names; new: only those not pushed before."""
        if self._stacks is not None:
            frames = self._stacks.resolve(new=new)
            if new and not frames:
                return
            if self._hide_addresses:
                frames = {name: list(map(_without_address, of)) for name, of in frames.items()}
            payload = json.dumps({"frames": frames}, separators=(",", ":")).encode()
            self._push({"type": "stacks"}, payload)

    def warnings(self) -> list[str]:
        """Return what keeps stacks from having names."""
        return self._stacks.warnings() if self._stacks is not None else []

    # --- losses ----------------------------------------------------------------------------------

    def losses(self) -> dict[str, dict[Any, int]]:
        """Return the losses so far: "lost" by kind and "lost_by_table"."""
        counts = self._lost_counts()
        by_table = {name: counts[1 + index] for index, name in enumerate(self._ring_names)}
        ring_lost = sum(by_table.values())
        lost: dict[Loss, int] = {
            Loss.RING_FULL: ring_lost - self._queue_full_lost,
            Loss.SPOOL_FULL: self._queue_full_lost,
            Loss.MAP_FULL: counts[0],
            Loss.STACK_SLOTS: counts[-1],
        }
        for table, buffer in self._perf.items():
            by_table[table] = buffer.lost()
            lost[Loss.PERF_FULL] = lost.get(Loss.PERF_FULL, 0) + by_table[table]
        return {"lost": lost, "lost_by_table": by_table}

    def _lost_counts(self) -> list[int]:
        fd = self._fds.get(LOST_MAP)
        if fd is None:
            return [0] * LOST_SLOTS
        return maps.read_percpu_u64(fd, LOST_SLOTS)

    def _note_queue_full(self, full: bool) -> None:
        """Count what the rings lose while the queue is full as its loss, not the rings'."""
        if not full and self._lost_when_full is None:
            return
        lost = sum(self._lost_counts()[1 : 1 + len(self._ring_names)])
        if self._lost_when_full is not None:
            self._queue_full_lost += lost - self._lost_when_full
        self._lost_when_full = lost if full else None


def _without_address(frame: list[str | int]) -> list[str | int]:
    """Return a frame without an address that no symbol and no module explains."""
    return ["[unknown]", 0, ""] if not frame[0] and not frame[2] else frame


def _with_real_size(layout: Layout, map_fds: Mapping[str, int]) -> Layout:
    """Return the layout with the size of the kernel's map (a ring may have been enlarged)."""
    fd = map_fds.get(layout.table)
    if fd is None:
        return layout
    return replace(layout, max_entries=syscalls.map_info(fd).max_entries)


def _wanted_maps(layouts: Sequence[Layout], names: Sequence[str]) -> list[Layout]:
    """Return the maps to read. Raises AgentRefusedError for a name that no table has."""
    known = {item.table for item in layouts}
    for name in names:
        if name not in known:
            raise AgentRefusedError(
                f"the agent refused program.tables: the C has no table {name!r}",
                hint=f"It has {', '.join(sorted(known)) or 'none'}.",
                field="program.tables",
            )
    wanted = set(names) or known
    return [item for item in layouts if item.kind not in _NOT_MAPS and item.table in wanted]
