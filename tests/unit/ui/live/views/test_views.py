"""Live pictures show what was counted, and nothing in them is cut off."""

from __future__ import annotations

import io
import itertools
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kernelscope.plotting.theme import DARK, LIGHT, THEMES
from kernelscope.probe.model import Column
from kernelscope.ui.live.counting.aggregate import Aggregate
from kernelscope.ui.live.counting.shape import Grouping, Shape
from kernelscope.ui.live.views import PICTURES
from kernelscope.ui.live.views.canvas import fitted

LATENCY = Column("latency_us", "slot", "key.slot", "us", scale=0.001)
SHAPE = Shape("waits", True, "", LATENCY, "count", bars=(Grouping("comm", "count"),))
GROUPED = Shape(
    "waits", True, "", LATENCY, "count", group="comm", bars=(Grouping("comm", "count"),)
)
LONG = "/usr/lib/x86_64-linux-gnu/gconv/a-very-long-name-of-a-file-that-goes-on.cache"


def reading(counts: dict[tuple[str, float], int]) -> pd.DataFrame:
    names, lows = zip(*counts, strict=True)
    return pd.DataFrame(
        {
            "comm": list(names),
            "latency_low_us": list(lows),
            "latency_high_us": [low * 1.125 for low in lows],
            "count": list(counts.values()),
        }
    )


def filled(shape: Shape = SHAPE, factor: int = 1) -> Aggregate:
    now = time.time_ns()
    made = Aggregate(shape, "log_linear", now - 30 * 10**9, 60)
    values = {
        (name, low): factor * count
        for (name, low), count in {
            ("python", 1.024): 500, ("python", 16.384): 300, (LONG, 2.048): 200,
            ("dd", 1048.576): 7, ("dd", 262.144): 40,
        }.items()
    }  # fmt: skip
    made.advance(now - 20 * 10**9)
    made.take_reading(reading(values), now)
    return made


def drawn(kind: str, aggregate: Aggregate, **how) -> np.ndarray:
    made = PICTURES[kind](aggregate, "Run queue latency", **how)
    made.update(aggregate, 60, 0.0)
    return pixels(made)


def pixels(made) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(made.png())).convert("RGB")).astype(int)


ALL = pytest.mark.parametrize(
    ("kind", "theme", "shape"),
    [
        *itertools.product(PICTURES, (LIGHT, DARK), (SHAPE,)),
        ("distribution", LIGHT, GROUPED),
    ],
)


@ALL
def test_draws_at_its_size_with_a_free_edge(kind, theme, shape):
    image = drawn(kind, filled(shape), theme=theme)
    face = image[0, 0]

    assert image.shape == (300, 600, 3)
    for edge in (image[:3], image[-2:], image[:, :3], image[:, -2:]):
        assert (edge == face).all()
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 20


@ALL
@pytest.mark.parametrize("factor", [1000, 10**7])
def test_fits_large_numbers(kind, theme, shape, factor):
    image = drawn(kind, filled(shape, factor), theme=theme)

    assert (image[:, :3] == image[0, 0]).all()
    assert (image[:, -2:] == image[0, 0]).all()


@pytest.mark.parametrize("kind", PICTURES)
def test_changes_with_the_counts(kind):
    aggregate = filled()
    made = PICTURES[kind](aggregate, "t")
    made.update(aggregate, 60, 0.0)
    before = pixels(made)
    aggregate.take_reading(
        reading({("python", 1.024): 9500, ("dd", 65.536): 3000}), time.time_ns() + 10**9
    )
    made.update(aggregate, 60, 1.0)

    assert (pixels(made) != before).any()


@pytest.mark.parametrize("kind", PICTURES)
def test_draws_a_table_without_events(kind):
    aggregate = Aggregate(SHAPE, "log_linear", time.time_ns(), 60)
    aggregate.advance(time.time_ns())

    assert drawn(kind, aggregate).shape == (300, 600, 3)


def test_writes_percentiles_with_their_bounds():
    aggregate = filled()
    made = PICTURES["distribution"](aggregate, "t")
    made.update(aggregate, 60, 0.0)

    assert made.note.text.startswith("p50 2.05\N{EN DASH}2.3 µs     p90 ")


def test_draws_the_largest_groups_first_and_sums_up_the_rest():
    aggregate = filled()
    made = PICTURES["bars"](aggregate, "t", top=2)
    made.update(aggregate, 60, 0.0)

    assert made.names[0].text == "python"  # type: ignore[attr-defined]
    assert [label.text for label in made.amounts] == ["800", "200"]  # type: ignore[attr-defined]
    assert made.note.text == "1,047 events in the window, 47 of them in other groups"


def test_shortens_names_to_the_available_width():
    assert fitted("short", 100) == "short"
    cut = fitted(LONG, 150)
    assert "…" in cut
    assert len(cut) < 30


def test_draws_the_background_again_only_when_an_axis_changed():
    aggregate = filled()
    made = PICTURES["distribution"](aggregate, "t")
    made.update(aggregate, 60, 0.0)
    made.png()
    made.update(aggregate, 60, 0.1)

    assert not made.canvas.stale


def test_has_distinct_colours_in_both_themes():
    for theme in THEMES.values():
        assert len(set(theme.palette)) == 7
        assert theme.face not in theme.palette


@pytest.mark.parametrize(
    "name",
    ["$x^{$", "a\x1b[2J\x00b", "a\nb", "\u65e5\u672c", "", "a" * 4096, "\u202ea", "_a", "<b>"],
)
@pytest.mark.parametrize("kind", PICTURES)
def test_draws_any_name(kind, name):
    aggregate = Aggregate(GROUPED, "log_linear", time.time_ns() - 10**9, 60)
    aggregate.advance(time.time_ns())
    aggregate.take_reading(reading({(name, 1.024): 503, ("other", 2.048): 7}), time.time_ns())
    made = PICTURES[kind](aggregate, f"Waits of {name}")
    made.update(aggregate, 60, 0.0)

    assert pixels(made).shape == (300, 600, 3)
    assert all("\x1b" not in label.text for label in made.labels)
