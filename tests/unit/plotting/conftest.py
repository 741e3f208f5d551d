"""Tables that plots are drawn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest


def receipt_with(**more: Any) -> dict[str, Any]:
    base = {"name": "biolatency", "duration_s": 10.0, "host": "lab", "lost": {}}
    return {"kernelscope": {**base, "started": "2026-11-22T09:01:02.1+00:00", **more}}


@pytest.fixture
def buckets() -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "disk": ["vda", "vda", "vdb"],
            "latency_low_us": [8.0, 16.0, 1024.0],
            "latency_high_us": [9.0, 18.0, 1152.0],
            "count": np.array([5, 10, 20], np.uint64),
        }
    )
    frame.attrs = receipt_with()
    return frame


@pytest.fixture
def events() -> pd.DataFrame:
    time = pd.date_range("2026-11-22", periods=50, freq="100ms", tz="UTC").astype("M8[ns, UTC]")
    frame = pd.DataFrame(
        {
            "time": time,
            "comm": ["postgres", "a" * 90] * 25,
            "duration_us": np.linspace(1, 5000, 50),
            "size_bytes": np.arange(50) * 4096,
        }
    )
    frame.attrs = receipt_with(name="opensnoop")
    return frame


@pytest.fixture
def stacks() -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "comm": ["app", "app", "sh"],
            "user_stack": ["main;work", "main", ""],
            "kernel_stack": ["", "read;copy", "idle"],
            "count": [3, 4, 5],
        }
    )
    frame.attrs = receipt_with(name="profile")
    return frame
