"""A table of stacks, as the profile probe gives it."""

from __future__ import annotations

import pandas as pd


def stacks() -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "comm": ["web", "web"],
            "user_stack": ["main;work", "main;wait"],
            "kernel_stack": ["", "entry;sleep"],
            "count": [3, 5],
            "total_us": [1.5, 2.5],
        }
    )
    frame.attrs["kernelscope"] = {"name": "profile", "started": "2026-11-22T08:00:00+00:00"}
    return frame
