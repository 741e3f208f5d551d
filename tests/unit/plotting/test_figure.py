"""The parts of every figure: readable numbers, rebinned buckets, no pyplot."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from kernelscope import units
from kernelscope.plotting import bins


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0, "us", "0"),
        (1, "us", "1 µs"),
        (1500, "us", "1.5 ms"),
        (0.25, "us", "250 ns"),
        (90_000, "ms", "90 s"),
        (999.9, "us", "1 ms"),
        (4096, "bytes", "4 KiB"),
        (1023.9, "bytes", "1 KiB"),
        (3 << 40, "bytes", "3 TiB"),
        (950, "", "950"),
        (12_400, "", "12,400"),
        (1_250_000, "", "1.25 M"),
    ],
)
def test_writes_numbers_in_human_units(value: float, unit: str, shown: str) -> None:
    assert units.text_in(unit)(value) == shown


def test_displays_a_figure_without_pyplot() -> None:
    code = (
        "import sys, pandas as pd; from kernelscope.plotting import charts;"
        "f = charts.bars(pd.DataFrame({'comm': ['a']}), 'comm'); f._repr_png_();"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout == "False\n"


def test_keeps_the_number_of_events_when_rebinning() -> None:
    low = np.array([0.0, 1.0, 8.0, 100.0])
    high = np.array([1.0, 2.0, 9.0, 100.0])

    shared = bins.rebinned(low, high, np.array([1.0, 2, 3, 4]), bins.log_edges(1, 64, 4))

    assert shared.sum() == pytest.approx(10)
    assert shared.tolist() == np.round(shared).tolist()
