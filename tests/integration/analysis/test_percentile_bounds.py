"""What one run took both as events and as a histogram: the events' percentile is in the bounds."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

import pandas as pd
import pytest

import kernelscope
from kernelscope.analysis import percentiles

pytestmark = pytest.mark.kernel

_SOURCE = """
struct took_t { u64 took_ns; };
BPF_HASH(began, u32, u64);
BPF_RINGBUF_OUTPUT(took, 64);
BPF_HISTOGRAM(coarse, u64);
KS_HISTOGRAM(fine);

TRACEPOINT_PROBE(syscalls, sys_enter_CALL) {
    u32 tid = bpf_get_current_pid_tgid();
    KS_BEGIN(began, &tid);
    return 0;
}

TRACEPOINT_PROBE(syscalls, sys_exit_CALL) {
    u32 tid = bpf_get_current_pid_tgid();
    u64 elapsed = KS_END(began, &tid);
    if (!elapsed)
        return 0;
    struct took_t event = {.took_ns = elapsed};
    took.ringbuf_output(&event, sizeof(event), 0);
    coarse.increment(bpf_log2l(elapsed));
    u32 slot = ks_slot(elapsed);
    fine.increment(slot);
    return 0;
}
"""
_Q = [0, 1, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100]
_libc = ctypes.CDLL(None)
_room = ctypes.create_string_buffer(1 << 18)


def _alike(_number: int) -> None:
    _libc.getpgid(0)


def _uneven(number: int) -> None:
    """Take times over four orders of magnitude, a few of them very long."""
    _libc.getrandom(_room, 1 << (number * 7 % 18) if number % 97 else len(_room), 0)


@pytest.mark.parametrize("calls", [1, 97, 10_007])
@pytest.mark.parametrize(("name", "call"), [("getpgid", _alike), ("getrandom", _uneven)])
def test_the_events_percentiles_are_within_both_histograms_bounds(
    name: str, call: Callable[[int], None], calls: int
) -> None:
    source = _SOURCE.replace("CALL", name)
    with kernelscope.start(source=source, pid=os.getpid(), duration=60) as run:
        for number in range(calls):
            call(number)
        run.stop()
        tables = run.result()
    events = tables["took"]
    assert isinstance(events, pd.DataFrame)
    true = percentiles.percentiles(events, "took_ns", _Q)["value_ns"]

    for kind in ("coarse", "fine"):
        buckets = tables[kind]
        assert len(events) == buckets["count"].sum() == calls
        found = percentiles.percentiles(buckets, q=_Q)
        assert (found["low"] <= true).all(), kind
        assert (true < found["high"]).all(), kind
        if kind == "fine":
            assert ((found["high"] - found["low"]) <= true / 8).all()
