"""Checks a probe against a known load, for the tests of tests/probes."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable
from typing import Any

import pandas as pd

import kernelscope
from kernelscope.protocol.losses import Loss
from workloads.probes import Load

IN_GUEST = "KERNELSCOPE_GUEST" in os.environ
# An emulated CPU sometimes stops, and its sampling clock with it.
SAMPLING = 0.5 if IN_GUEST else 0.1
SETTLE_S = 0.1

measurements: list[dict[str, Any]] = []  # of the runs of the current test (conftest.py)
# Two stacks can meet in one slot by chance; the event then has a row without its stack.
BY_CHANCE = {Loss.STACK_SLOTS.value}


def traced(probe: str, load: Load, **options: Any) -> tuple[Any, dict[str, Any]]:
    """Run the load while the probe runs; return the probe's result and the load's facts."""
    with kernelscope.start(probe, duration=60, **options) as run:
        facts = load.go()
        time.sleep(SETTLE_S)
    result = run.result()
    measurements.append(measurement(run.receipt, result))
    assert set(run.lost) <= BY_CHANCE
    return result, facts


def one(frame: pd.DataFrame, **wanted: Any) -> pd.Series[Any]:
    """Return the only row with these values."""
    for name, value in wanted.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1, frame
    return frame.iloc[0]


def in_one_of_four(check: Callable[..., None]) -> Callable[..., None]:
    """Run a check up to four times; one pass is enough.

    Some virtual machines hide the tasks of their own supervisor from tracing, and with them the
    interrupts and switches that happen there: a run during one counts too little. A wrong probe
    fails every time.
    """

    @functools.wraps(check)
    def repeated(*args: Any, **kwargs: Any) -> None:
        for _ in range(3):
            with contextlib.suppress(AssertionError):
                return check(*args, **kwargs)
        return check(*args, **kwargs)

    return repeated


def measurement(receipt: dict[str, Any], result: Any) -> dict[str, Any]:
    """Return the probe's figures from a receipt: hooks used, rows, ns per run of a program."""
    tables = [result] if isinstance(result, pd.DataFrame) else list(result.values())
    return {
        "probe": receipt["probe"],
        "hooks": sorted({hook.partition("=")[0] for hook in receipt["hooks"]}),
        "rows": sum(map(len, tables)),
        "ns_per_run": receipt["ns_per_run"],
    }
