"""One program for every kind of hook: it is compiled once, and each test binds what it needs."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vm.subject import Subject

from kernelscope.protocol.frames import Frame
from kernelscope.protocol.program import Filters, Hook, Program
from kernelscope.tracing.agent_client import Agent, Channel

ROOT = Path(__file__).resolve().parents[2]
PRELUDE = (ROOT / "bpf" / "include" / "kernelscope.h").read_text()
GETPGID = 121  # x86_64
SOURCE = """
struct totals_t { u64 hits; u64 sum; };
BPF_ARRAY(totals, struct totals_t, 1);

static inline int add(u64 value)
{
    int zero = 0;
    struct totals_t *total = totals.lookup(&zero);

    if (!total)
        return 0;
    __sync_fetch_and_add(&total->hits, 1);
    __sync_fetch_and_add(&total->sum, value);
    return 0;
}

int count(void *ctx) { return add(1); }
int count_getpgid(u64 *ctx) { return ctx[1] == KS_PARAM(number) ? add(1) : 0; }
int add_returned(struct pt_regs *ctx) { return add(PT_REGS_RC(ctx)); }
int add_result(u64 *ctx) { return add(ctx[1]); }

/* bpf_iter__task: meta, task */
int count_thread(u64 *ctx)
{
    struct task_struct *task = (struct task_struct *)ctx[1];

    return task && task->tgid == KS_PARAM(number) ? add(1) : 0;
}

int count_frame(struct xdp_md *ctx)
{
    u64 length = (void *)(long)ctx->data_end - (void *)(long)ctx->data;

    return length == KS_PARAM(number) ? add(1) : 0;
}

int count_skb(struct __sk_buff *ctx) { return ctx->len == KS_PARAM(number) ? add(1) : 0; }
"""


@dataclass(frozen=True)
class Counted:
    """What a run counted.

    done: what the subject's work returned; hooks: what was attached; exit: how the run ended.
    """

    hits: int
    sum: int
    done: Any
    hooks: list[str]
    attached: dict[str, Any]
    exit: str


def program(*specs: str, function: str = "count", **settings: Any) -> Program:
    """Return the program with one function bound to the first of the hooks that there is."""
    settings = {"params": {"number": GETPGID}, **settings}
    return Program("count", SOURCE, PRELUDE, hooks=(Hook(function, specs),), **settings)


def count(
    agent: Agent,
    subject: Subject,
    *specs: str,
    work: str = "getpgid",
    function: str = "count",
    **settings: Any,
) -> Counted:
    """Count while the subject works; settings: other fields of the program."""
    settings = {"filters": Filters(pid=subject.pid), **settings}
    channel = agent.run(program(*specs, function=function, **settings))
    try:
        return _count(channel, subject, work)
    finally:
        channel.close()


@contextlib.contextmanager
def attached(agent: Agent, *specs: str) -> Iterator[None]:
    """Have the program attached for as long as the block lasts."""
    channel = agent.run(program(*specs))
    try:
        assert next(channel.frames()).type == "attached"
        yield
        channel.stop()
        for _ in channel.frames():
            pass
    finally:
        channel.close()


def _count(channel: Channel, subject: Subject, work: str) -> Counted:
    frames = channel.frames()
    attached = next(frames)
    assert attached.type == "attached"
    done = subject.do(work)
    channel.stop()
    rest = list(frames)
    hits, total = _totals([frame for frame in rest if frame.type == "map"])
    hooks = [str(hook["spec"]) for hook in attached.header["hooks"]]
    receipt = next(frame for frame in rest if frame.type == "receipt")
    return Counted(hits, total, done, hooks, attached.header, receipt.header["exit"])


def _totals(readings: list[Frame]) -> tuple[int, int]:
    last = readings[-1]
    assert last.header["final"]
    _, hits, total = struct.unpack("<IQQ", bytes(last.payload))
    return hits, total
