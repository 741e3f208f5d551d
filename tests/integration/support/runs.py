"""Runs for tests: programs that count getpgid(2) calls of this process, and what a run sent."""

from __future__ import annotations

import ctypes
import itertools
import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernelscope.protocol.frames import Frame
from kernelscope.protocol.program import Filters, Program
from kernelscope.tracing.agent_client import Agent, Channel

KERNELSCOPE_H = Path(__file__).parents[3] / "bpf/include/kernelscope.h"
_numbers = itertools.count(1)
_libc = ctypes.CDLL(None)


def calls(count: int, first: int = 0) -> None:
    """Make `count` getpgid(2) calls, with the arguments `first`, `first` + 1, ..."""
    for number in range(first, first + count):
        _libc.getpgid(number)


def unique() -> str:
    """Return a name for a map that no other map on this machine has."""
    return f"t{os.getpid() % 10**6}_{next(_numbers)}"


def counting(table: str, **options: Any) -> Program:
    """A program that counts this process's calls in a hash called `table`."""
    source = f"""
BPF_HASH({table}, u32);
TRACEPOINT_PROBE(syscalls, sys_enter_getpgid) {{
    u32 key = 0;
    {table}.increment(key);
    return 0;
}}"""
    return program(source, **options)


def program(source: str, **options: Any) -> Program:
    return Program(
        "test",
        source,
        prelude=KERNELSCOPE_H.read_text(),
        filters=Filters(pid=os.getpid()),
        **options,
    )


@dataclass
class Sent:
    """All that a run sent."""

    frames: list[Frame] = field(default_factory=list)

    def of(self, kind: str) -> list[Frame]:
        return [frame for frame in self.frames if frame.type == kind]

    @property
    def receipt(self) -> dict[str, Any]:
        (frame,) = self.of("receipt")
        return frame.header

    @property
    def lost(self) -> dict[str, int]:
        return {kind: count for kind, count in self.receipt["lost"].items() if count}

    def counts(self, table: str, *, final: bool = True) -> list[int]:
        """The value of the map's only key in each reading, 0 where it has none yet."""
        return [
            struct.unpack_from("=Q", frame.payload, 4)[0] if frame.header["count"] else 0
            for frame in self.of("map")
            if frame.header["table"] == table and frame.header["final"] == final
        ]

    @property
    def records(self) -> int:
        """How many records came over rings."""
        return sum(frame.header.get("records", 0) for frame in self.of("batch"))


def begin(agent: Agent, asked: Program) -> tuple[Channel, Iterator[Frame]]:
    """Start a run and wait until it is attached."""
    channel = agent.run(asked)
    frames = channel.frames()
    try:
        assert next(frames).type == "attached"
    except BaseException:
        channel.close()
        raise
    return channel, frames


def finish(channel: Channel, frames: Iterator[Frame]) -> Sent:
    """Stop a run and take all that it sends."""
    channel.stop()
    return rest(channel, frames)


def rest(channel: Channel, frames: Iterator[Frame]) -> Sent:
    """Take all that a run sends to its end."""
    sent = Sent(list(frames))
    channel.close()
    return sent


def pause(seconds: float) -> None:
    """Let a run go on for a while."""
    time.sleep(seconds)
