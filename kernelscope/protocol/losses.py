"""The kinds of loss that a run counts: one list for the agent, the client and the receipt."""

from __future__ import annotations

from enum import Enum


class Loss(str, Enum):
    """Why something that the kernel or a program produced is not in the result.

    The value is the key in the receipt's `lost`. The client has a reason and advice for each.
    """

    RING_FULL = "ring_full"  # a ring buffer had no room for a record
    PERF_FULL = "perf_full"  # a perf buffer had no room for a record
    MAP_FULL = "map_full"  # an update found no room for a new key
    SPOOL_FULL = "spool_full"  # the client took too little, so the rings were left to fill
    DROPPED_ROWS = "dropped_rows"  # rows arrived, and newer ones took their place (--max-rows)
    TORN = "torn"  # records that could not be decoded whole
    MISSED_RUNS = "missed_runs"  # the kernel skipped a program that already ran on that CPU
    STACK_SLOTS = "stack_slots"  # a stack found its slot taken by another: the event has no stack
    BPFTRACE = "bpftrace"  # events that bpftrace reports as lost

    @property
    def keeps_row(self) -> bool:
        """Whether the event's row is in the result, and only a part of it is missing."""
        return self is Loss.STACK_SLOTS
