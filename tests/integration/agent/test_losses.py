"""Every kind of loss, brought about on purpose: what was lost and what arrived make up the whole.

The whole is known by itself: this process makes a prime number of getpgid(2) calls, and the
programs see no other process's.
"""

from __future__ import annotations

import ctypes
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.support import runs

from kernelscope.tracing.agent_client import Agent

pytestmark = pytest.mark.kernel

CALLS = 300_007
RECORD = """
struct record_t {{ u64 number; u64 words[5]; }};
{declaration}
TRACEPOINT_PROBE(syscalls, sys_enter_getpgid) {{
    struct record_t record = {{}};
    record.number = args->pid;
    {send}
    return 0;
}}"""
RESERVE = """
struct record_t {{ u64 number; u64 words[5]; }};
BPF_RINGBUF_OUTPUT({table}, 1);
TRACEPOINT_PROBE(syscalls, sys_enter_getpgid) {{
    struct record_t *record = {table}.ringbuf_reserve(sizeof(struct record_t));
    if (!record) return 0;
    __builtin_memset(record, 0, sizeof(*record));
    record->number = args->pid;
    {table}.ringbuf_submit(record, 0);
    return 0;
}}"""


def output(table: str) -> str:
    return RECORD.format(
        declaration=f"BPF_RINGBUF_OUTPUT({table}, 1);",
        send=f"{table}.ringbuf_output(&record, sizeof(record), 0);",
    )


def submit(table: str) -> str:
    return RECORD.format(
        declaration=f"BPF_PERF_OUTPUT({table});",
        send=f"{table}.perf_submit(args, &record, sizeof(record));",
    )


def reserve(table: str) -> str:
    return RESERVE.format(table=table)


def numbers(sent: runs.Sent) -> Iterator[int]:
    """The first number in each of the ring's records, in order of arrival."""
    for frame in sent.of("batch"):
        for at in range(0, len(frame.payload), 56):
            header, _, number = struct.unpack_from("=IIQ", frame.payload, at)
            assert header == 48
            yield number


@pytest.mark.parametrize("source", [output, reserve, submit], ids=["output", "reserve", "submit"])
def test_records_lost_in_a_full_ring_are_counted(agent: Agent, source: object) -> None:
    table = runs.unique()
    begun = runs.begin(agent, runs.program(source(table), ring_bytes=4096))  # type: ignore[operator]
    runs.calls(CALLS)
    sent = runs.finish(*begun)
    arrived = list(numbers(sent))
    assert arrived == sorted(set(arrived))
    assert sent.lost.keys() == {"ring_full"}
    assert len(arrived) + sent.lost["ring_full"] == CALLS
    assert sent.receipt["lost_by_table"] == {table: sent.lost["ring_full"]}


def test_no_loss_is_counted_if_nothing_was_lost(agent: Agent) -> None:
    begun = runs.begin(agent, runs.program(output(runs.unique())))
    runs.calls(10_007)
    sent = runs.finish(*begun)
    assert list(numbers(sent)) == list(range(10_007))
    assert sent.lost == {}


def test_losses_are_counted_per_ring(agent: Agent) -> None:
    small, large = runs.unique(), runs.unique()
    source = f"""
BPF_RINGBUF_OUTPUT({small}, 1);
BPF_RINGBUF_OUTPUT({large}, 8192);
TRACEPOINT_PROBE(syscalls, sys_enter_getpgid) {{
    u64 number = args->pid;
    {large}.ringbuf_output(&number, sizeof(number), 0);
    {small}.ringbuf_output(&number, sizeof(number), 0);
    return 0;
}}"""
    begun = runs.begin(agent, runs.program(source, ring_bytes=4096))
    runs.calls(CALLS)
    sent = runs.finish(*begun)
    arrived = dict.fromkeys((small, large), 0)
    for frame in sent.of("batch"):
        arrived[frame.header["table"]] += frame.header["records"]
    by_table = sent.receipt["lost_by_table"]
    assert by_table[small] > 0
    assert by_table[large] == 0
    assert {t: arrived[t] + by_table[t] for t in arrived} == {small: CALLS, large: CALLS}


def test_records_lost_in_a_full_perf_buffer_are_counted(agent: Agent) -> None:
    table = runs.unique()
    begun = runs.begin(agent, runs.program(submit(table), substitute_perf=False))
    runs.calls(CALLS)
    sent = runs.finish(*begun)
    arrived = reported = 0
    for frame in sent.of("batch"):
        at = 0
        while at < len(frame.payload):
            kind, _, size = struct.unpack_from("=IHH", frame.payload, at)
            arrived += kind == 9
            if kind == 2:
                reported += struct.unpack_from("=Q", frame.payload, at + 16)[0]
            at += size
    assert sent.lost.keys() == {"perf_full"}
    assert arrived + sent.lost["perf_full"] == CALLS
    assert 0 < reported <= sent.lost["perf_full"]


@pytest.mark.parametrize(
    "statement",
    [
        "{table}.increment(key);",
        "u64 one = 1; {table}.update(&key, &one);",
        "u64 one = 1; {table}.insert(&key, &one);",
        "u64 none = 0, *found = {table}.lookup_or_try_init(&key, &none); if (found) ++*found;",
    ],
    ids=["increment", "update", "insert", "lookup_or_try_init"],
)
def test_keys_lost_in_a_full_map_are_counted(agent: Agent, statement: str) -> None:
    table = runs.unique()
    source = f"""
BPF_HASH({table}, u64, u64, 101);
TRACEPOINT_PROBE(syscalls, sys_enter_getpgid) {{
    u64 key = args->pid;
    {statement.format(table=table)}
    return 0;
}}"""
    begun = runs.begin(agent, runs.program(source))
    runs.calls(997)
    sent = runs.finish(*begun)
    kept = sum(frame.header["count"] for frame in sent.of("map"))
    assert kept == 101
    assert sent.lost == {"map_full": 997 - 101}


def test_existing_key_is_no_loss(agent: Agent) -> None:
    table = runs.unique()
    source = f"""
BPF_HASH({table}, u64, u64, 8);
TRACEPOINT_PROBE(syscalls, sys_enter_getpgid) {{
    u64 key = 0, one = 1;
    {table}.insert(&key, &one);
    return 0;
}}"""
    begun = runs.begin(agent, runs.program(source))
    runs.calls(103)
    assert runs.finish(*begun).lost == {}


def test_losses_while_the_client_does_not_read_count_for_the_send_queue(agent: Agent) -> None:
    table = runs.unique()
    asked = runs.program(output(table), ring_bytes=1 << 20, spool_bytes=1 << 20)
    begun = runs.begin(agent, asked)
    for _ in range(10):  # 17 MB at a pace that the rings would hold, were they read
        runs.calls(CALLS // 10)
        runs.pause(0.05)
    runs.calls(CALLS % 10)
    sent = runs.finish(*begun)
    arrived = list(numbers(sent))
    assert len(arrived) + sum(sent.lost.values()) == CALLS
    assert sent.lost["spool_full"] > CALLS // 2
    assert sent.lost.get("ring_full", 0) < sent.lost["spool_full"] // 10


def test_readings_do_not_pile_up_while_the_client_does_not_read(agent: Agent) -> None:
    table = runs.unique()
    source = f"BPF_ARRAY({table}, u64, 50000);\n" + runs.counting(runs.unique()).source
    asked = runs.program(source, spool_bytes=1 << 20, interval_ns=1_000_000)
    channel, frames = runs.begin(agent, asked)
    runs.pause(1.0)
    sent = runs.finish(channel, frames)
    taken = sum(len(frame.payload) for frame in sent.of("map"))
    assert taken < 8 << 20  # the spool's limit, what the socket holds, and a reading or two


def test_perf_records_waiting_at_the_end_all_arrive(agent: Agent) -> None:
    table = runs.unique()
    asked = runs.program(submit(table), substitute_perf=False, spool_bytes=1 << 20)
    begun = runs.begin(agent, asked)
    for _ in range(40):
        runs.calls(997)
        runs.pause(0.02)
    sent = runs.finish(*begun)
    arrived = 0
    for frame in sent.of("batch"):
        at = 0
        while at < len(frame.payload):
            kind, _, size = struct.unpack_from("=IHH", frame.payload, at)
            arrived += kind == 9
            at += size
    assert arrived + sent.lost.get("perf_full", 0) == 40 * 997


TRACEFS = Path("/sys/kernel/tracing")


@pytest.mark.skipif(
    Path("/proc/sys/kernel/arch").exists()
    and Path("/proc/sys/kernel/arch").read_text().strip() != "x86_64",
    reason="only x86_64 has the tracepoint exceptions:page_fault_kernel",
)
def test_program_runs_skipped_by_the_kernel_are_counted(agent: Agent) -> None:
    """A program on page faults that itself faults: the kernel runs it for the first alone."""
    table = runs.unique()
    source = f"""
BPF_HASH({table}, u32);
RAW_TRACEPOINT_PROBE(page_fault_kernel) {{
    u64 nothing;
    {table}.increment(0);
    bpf_probe_read_user(&nothing, sizeof(nothing), (void *)0x10);
    return 0;
}}"""
    libc = ctypes.CDLL(None)
    with Path("/dev/zero").open("rb") as zero:
        begun = runs.begin(agent, runs.program(source))
        for _ in range(107):
            assert libc.read(zero.fileno(), ctypes.c_void_p(0x10), 1) == -1
        sent = runs.finish(*begun)
    (counted,) = sent.counts(table)
    assert counted >= 107
    assert sent.lost == {"missed_runs": counted}


DEEP = """
#include <unistd.h>
__attribute__((noinline)) int call(int depth) {
    int found = depth ? call(depth - 1) : getpgid(0);
    __asm__ volatile("" : : "r"(found));
    return found;
}"""
STACKS = """
BPF_STACK_TRACE(stacks, 16);
BPF_HASH({table}, int);
TRACEPOINT_PROBE(syscalls, sys_enter_getpgid) {{
    int stack = stacks.get_stackid(args, BPF_F_USER_STACK);
    {table}.increment(stack);
    return 0;
}}"""


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("deep")
    (folder / "deep.c").write_text(DEEP)
    options = ["-shared", "-fPIC", "-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls"]
    command = ["gcc", *options, "-o", folder / "deep.so", folder / "deep.c"]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(folder / "deep.so"))


@pytest.mark.parametrize("slots", [None, 65536])
def test_stacks_without_a_slot_are_counted(
    agent: Agent, deep: ctypes.CDLL, slots: int | None
) -> None:
    table = runs.unique()
    begun = runs.begin(agent, runs.program(STACKS.format(table=table), max_entries=slots))
    for depth in range(61):  # each of another depth, three times
        for _ in range(3):
            deep.call(depth)
    sent = runs.finish(*begun)
    counts: dict[int, int] = {}
    for frame in (each for each in sent.of("map") if each.header["table"] == table):
        count = frame.header["count"]  # keys of 4 bytes, then values of 8
        keys = struct.unpack_from(f"={count}i", frame.payload)
        counts |= dict(
            zip(keys, struct.unpack_from(f"={count}Q", frame.payload, 4 * count), strict=True)
        )
    assert sum(counts.values()) == 183
    assert sent.lost.get("stack_slots", 0) == counts.get(-17, 0)
    assert (slots is None) == (sent.lost.get("stack_slots", 0) > 100)
