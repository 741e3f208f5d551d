"""What a real run gave and what its recording gives are the same to the last bit, anywhere."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from unit.io import open_on_another_system

import kernelscope
from kernelscope.tables import results
from kernelscope.tracing.session import Session

pytestmark = pytest.mark.kernel

EVERY_KIND = """
struct event_t { u64 time_ns; u32 pid; s32 flags; char comm[16]; u8 odd[3]; };
struct slot_t { u32 pid; u32 slot; };
struct where_t { u32 pid; s32 user_stack; s32 kernel_stack; };

BPF_RINGBUF_OUTPUT(ring, 8);
BPF_PERF_OUTPUT(sent);
BPF_HASH(by_pid, u32, u64);
BPF_PERCPU_HASH(by_cpu, u32, u64);
BPF_ARRAY(total, u64, 3);
KS_HISTOGRAM(sizes, struct slot_t);
BPF_HISTOGRAM(powers, u32);
BPF_STACK_TRACE(stacks, 1024);
BPF_HASH(places, struct where_t, u64);

TRACEPOINT_PROBE(syscalls, sys_enter_getpgid)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    int zero = 0;
    struct event_t event = {.time_ns = bpf_ktime_get_ns(), .pid = pid, .flags = (s32)args->pid};
    struct slot_t slot = {.pid = pid, .slot = ks_slot(args->pid)};
    struct where_t where = {.pid = pid};

    bpf_get_current_comm(&event.comm, sizeof(event.comm));
    ring.ringbuf_output(&event, sizeof(event), 0);
    sent.perf_submit(args, &event, sizeof(event));
    by_pid.increment(pid);
    by_cpu.increment(pid);
    total.increment(zero);
    KS_COUNT(sizes, &slot);
    powers.increment(bpf_log2l(args->pid));
    where.user_stack = stacks.get_stackid(args, BPF_F_USER_STACK);
    where.kernel_stack = stacks.get_stackid(args, 0);
    places.increment(where);
    bpf_trace_printk("call %d of %s\\n", args->pid, event.comm);
    return 0;
}
"""
CALLS = 211


def recorded(
    session: Session, path: Path, source: str = EVERY_KIND, **options: object
) -> dict[str, pd.DataFrame]:
    run = session.start(source=source, record=path, pid=os.getpid(), duration="1m", **options)
    with run:
        for number in range(CALLS):
            ctypes.CDLL(None).getpgid(number % 7)
        run.peek()  # one reading more than the run itself makes
        run.stop()
        return results.by_name(run.result())


def equal(one: dict[str, pd.DataFrame], other: dict[str, pd.DataFrame]) -> None:
    assert list(one) == list(other)
    for name, table in one.items():
        pd.testing.assert_frame_equal(table, other[name], check_exact=True)
        assert open_on_another_system.digest(table, attrs=False) == open_on_another_system.digest(
            other[name], attrs=False
        )
        receipts = [dict(each[name].attrs["kernelscope"]) for each in (one, other)]
        assert [receipt.pop("recorded") for receipt in receipts] == [False, True]
        assert receipts[0] == receipts[1]


@pytest.mark.parametrize("options", [{}, {"per_cpu": True}, {"interval": "100ms"}], ids=str)
def test_every_kind_of_table_is_the_same_of_a_recording(
    session: Session, tmp_path: Path, options: dict[str, object]
) -> None:
    path = tmp_path / "run.ksr"
    live = recorded(session, path, **options)
    again = results.by_name(kernelscope.open(path))

    equal(live, again)
    assert len(live["ring"]) == len(live["sent"]) == len(live["printk"]) == CALLS
    assert {"by_pid", "by_cpu", "total", "sizes", "powers", "places"} <= set(live)
    assert live["places"]["user_stack"].str.contains("getpgid").any()


def test_another_system_makes_the_same_of_it(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "run.ksr"
    recorded(session, path)
    script = Path(open_on_another_system.__file__)
    there = subprocess.run(
        [sys.executable, str(script), str(path)], capture_output=True, text=True, check=True
    )

    assert there.stdout.split() == [
        "run",
        *" ".join(open_on_another_system.digests(str(path))).split(),
    ]


@pytest.mark.parametrize("name", ["syscount", "opensnoop", "offcputime"])
def test_a_probes_tables_are_the_same_of_a_recording(
    session: Session, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "run.ksr"
    run = session.start(name, record=path, tree=os.getpid(), duration="1m")
    with run:
        subprocess.run([sys.executable, "-S", "-c", "import time; time.sleep(0.01)"], check=True)
        run.stop()
        live = results.by_name(run.result())

    equal(live, results.by_name(kernelscope.open(path)))
    assert sum(map(len, live.values()))
