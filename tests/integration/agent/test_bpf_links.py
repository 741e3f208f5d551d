"""Iterators and packet hooks on a real kernel: what they see, and that they only look."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from integration.support.agent_python import ask

import kernelscope
from kernelscope.errors import AttachError
from kernelscope.tracing.session import Session
from workloads.probes.common import CLONE_NEWNET, enter_new_network

pytestmark = pytest.mark.kernel

DATAGRAMS = 23
SIZE = 1013
THREADS = """
import sys, threading
for _ in range(28):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""
VISIT = """
BPF_HASH(visits, u32);
int on_task(u64 *ctx) { /* bpf_iter__task: meta, task */
    struct task_struct *task = (struct task_struct *)ctx[1];
    u32 tgid = task ? task->tgid : 0;
    visits.increment(tgid);
    return 1;
}
"""
ON_FRAME = """
BPF_HASH(lengths, u32);
int on_frame(struct xdp_md *ctx) {
    u32 length = (void *)(long)ctx->data_end - (void *)(long)ctx->data;
    lengths.increment(length);
    return XDP_DROP;
}
"""
ON_SKB = """
BPF_HASH(lengths, u32);
int on_skb(struct __sk_buff *ctx) {
    u32 length = ctx->len;
    lengths.increment(length);
    return 2; /* TCX_DROP */
}
"""


@pytest.fixture
def alone() -> Iterator[Session]:
    """A session with an lo of its own: the machine's may have another user's XDP program."""
    if os.geteuid() != 0:
        with Session() as session:
            yield session
        return
    machine = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    enter_new_network()
    try:
        with Session() as session:
            yield session
    finally:
        assert ctypes.CDLL(None).setns(machine, CLONE_NEWNET) == 0
        os.close(machine)


def exchange() -> int:
    """Send 23 datagrams over lo; return how many arrived."""
    with socket.socket(type=socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        for _ in range(DATAGRAMS):
            receiver.sendto(bytes(SIZE), receiver.getsockname())
        return sum(len(receiver.recv(2 * SIZE)) == SIZE for _ in range(DATAGRAMS))


@contextmanager
def threads() -> Iterator[int]:
    """A process of 29 threads; gives its id."""
    command = [sys.executable, "-I", "-c", THREADS]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        process.stdout.readline()
        yield process.pid


def test_iterator_visits_every_thread_and_ends_the_run() -> None:
    with threads() as pid:
        visits = kernelscope.run(source=VISIT, attach=["iter:task=on_task"], duration=60)
    assert visits[visits["key"] == pid]["value"].tolist() == [29]
    assert visits.attrs["kernelscope"]["duration_s"] < 30


def test_iterator_runs_at_each_interval() -> None:
    options = {"attach": ["iter:task=on_task"], "duration": 60, "interval": 0.1}
    with threads() as pid:
        with kernelscope.start(source=VISIT, **options) as run:
            time.sleep(0.5)
        visits = run.result()
    assert visits[visits["key"] == pid]["value"].max() >= 3 * 29


@pytest.mark.parametrize(
    "hook", ["xdp:lo=on_frame", "tcx_ingress:lo=on_skb", "tcx_egress:lo=on_skb"]
)
def test_packets_are_counted_and_not_dropped(alone: Session, hook: str) -> None:
    source = ON_SKB if hook.endswith("skb") else ON_FRAME
    with alone.start(source=source, attach=[hook], duration=60) as run:
        arrived = exchange()
    lengths = run.result()
    assert arrived == DATAGRAMS
    counted = lengths[lengths["key"] == SIZE + 8 + 20 + 14]
    assert counted["value"].tolist() == [DATAGRAMS]


def test_second_xdp_program_is_refused_with_the_reason(alone: Session) -> None:
    with (
        alone.start(source=ON_FRAME, attach=["xdp:lo=on_frame"], duration=60),
        pytest.raises(AttachError, match="which takes one alone") as caught,
    ):
        alone.start(source=ON_FRAME, attach=["xdp:lo=on_frame"], duration=60)
    assert "EBUSY" in str(caught.value)
    alone.run(source=ON_FRAME, attach=["xdp:lo=on_frame"], duration=0.1)


def test_filters_are_refused_for_hooks_without_process_context() -> None:
    with pytest.raises(AttachError, match="no process context"):
        kernelscope.run(source=VISIT, attach=["iter:task=on_task"], pid=os.getpid(), duration=1)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("iter:tsk", r"(?s)Did you mean task\?.*task_file"),
        ("iter:run_prog", "no iterator"),
        ("iter:bpf_map_elem", "must be named first"),
        ("xdp:lo0", r"(?s)no network interface.*Did you mean lo\?.*There are .*lo"),
        ("tcx_ingress:nowhere", r"(?s)no network interface.*There are .*lo"),
    ],
)
def test_missing_names_list_the_available_ones(spec: str, says: str) -> None:
    with pytest.raises(AttachError, match=says):
        ask("attach_cases", "resolve", any_of=[spec])


def test_listings_have_iterators_and_interfaces() -> None:
    assert {"task", "task_file"} <= set(ask("attach_cases", "listing", kind="iter", prefix="task"))
    assert ask("attach_cases", "listing", kind="xdp", prefix="lo") == ["lo"]
