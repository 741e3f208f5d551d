"""What one run took both as events and as a histogram: the events' percentile is in the bounds."""

from __future__ import annotations

import ctypes
import os

import pandas as pd
import pytest

import kernelscope
from kernelscope import analysis

_SOURCE = """
struct took_t { u64 took_ns; };
BPF_HASH(began, u32, u64);
BPF_RINGBUF_OUTPUT(took, 64);
BPF_HISTOGRAM(spread, u64);

TRACEPOINT_PROBE(syscalls, sys_enter_getpgid) {
    u32 tid = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();
    began.update(&tid, &now);
    return 0;
}

TRACEPOINT_PROBE(syscalls, sys_exit_getpgid) {
    u32 tid = bpf_get_current_pid_tgid();
    u64 *at = began.lookup(&tid);
    if (!at)
        return 0;
    struct took_t event = {.took_ns = bpf_ktime_get_ns() - *at};
    took.ringbuf_output(&event, sizeof(event), 0);
    spread.increment(bpf_log2l(event.took_ns));
    return 0;
}
"""


@pytest.mark.parametrize("calls", [1, 97, 10_007])
def test_the_events_percentiles_are_within_the_histograms_bounds(calls: int) -> None:
    libc = ctypes.CDLL(None)
    with kernelscope.start(source=_SOURCE, pid=os.getpid(), duration=60) as run:
        for _ in range(calls):
            libc.getpgid(0)
        run.stop()
        tables = run.result()
    events, spread = tables["took"], tables["spread"]
    assert isinstance(events, pd.DataFrame)
    assert len(events) == spread["count"].sum() == calls

    q = [0, 25, 50, 75, 90, 99, 99.9, 100]
    true = analysis.percentiles(events, "took_ns", q)["value_ns"]
    bounds = analysis.percentiles(spread, q=q).iloc[:, -2:]
    assert (bounds.iloc[:, 0] <= true).all()
    assert (true < bounds.iloc[:, 1]).all()
