"""The live pictures: that they show what was counted, and that nothing of them is cut off."""

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
from kernelscope.ui.live.counting.aggregate import Reducer, Shape
from kernelscope.ui.live.pictures.base import PICTURES
from kernelscope.ui.live.pictures.canvas import Ceiling, Span, fitted, nice, octave_ticks

LATENCY = Column("latency_us", "slot", "key.slot", "us", scale=0.001)
SHAPE = Shape("waits", True, "", LATENCY, "count", labels=("comm",))
GROUPED = Shape("waits", True, "", LATENCY, "count", group="comm", labels=("comm",))
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


def filled(shape: Shape = SHAPE, factor: int = 1) -> Reducer:
    now = time.time_ns()
    made = Reducer(shape, "log_linear", now - 30 * 10**9, 60)
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


def drawn(kind: str, reducer: Reducer, **how) -> np.ndarray:
    label = "comm" if kind == "bars" else ""
    made = PICTURES[kind](reducer, "Run queue latency", label=label, **how)
    made.update(reducer, 60, 0.0)
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
def test_a_picture_has_its_size_and_nothing_touches_its_edge(kind, theme, shape):
    image = drawn(kind, filled(shape), theme=theme)
    face = image[0, 0]

    assert image.shape == (300, 600, 3)
    for edge in (image[:3], image[-2:], image[:, :3], image[:, -2:]):
        assert (edge == face).all()
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 20


@ALL
@pytest.mark.parametrize("factor", [1000, 10**7])
def test_large_numbers_fit_as_well(kind, theme, shape, factor):
    image = drawn(kind, filled(shape, factor), theme=theme)

    assert (image[:, :3] == image[0, 0]).all()
    assert (image[:, -2:] == image[0, 0]).all()


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_moves_with_what_is_counted(kind):
    reducer = filled()
    made = PICTURES[kind](reducer, "t", label="comm" if kind == "bars" else "")
    made.update(reducer, 60, 0.0)
    before = pixels(made)
    reducer.take_reading(
        reading({("python", 1.024): 9500, ("dd", 65.536): 3000}), time.time_ns() + 10**9
    )
    made.update(reducer, 60, 1.0)

    assert (pixels(made) != before).any()


@pytest.mark.parametrize("kind", PICTURES)
def test_nothing_yet_is_a_picture_too(kind):
    reducer = Reducer(SHAPE, "log_linear", time.time_ns(), 60)
    reducer.advance(time.time_ns())

    assert drawn(kind, reducer).shape == (300, 600, 3)


def test_the_percentiles_stand_with_their_bounds():
    reducer = filled()
    made = PICTURES["distribution"](reducer, "t")
    made.update(reducer, 60, 0.0)

    assert made.note.text.startswith("p50 2.05\N{EN DASH}2.3 µs     p90 ")


def test_bars_are_the_largest_first_and_name_the_rest():
    reducer = filled()
    made = PICTURES["bars"](reducer, "t", label="comm", top=2)
    made.update(reducer, 60, 0.0)

    assert made.names[0].text == "python"
    assert [label.text for label in made.amounts] == ["800", "200"]
    assert made.note.text == "1,047 events in the window, 47 of them in others"


def test_long_names_are_shortened_to_the_room_there_is():
    assert fitted("short", 100) == "short"
    cut = fitted(LONG, 150)
    assert "…" in cut
    assert len(cut) < 30


def test_the_ground_is_drawn_again_only_where_an_axis_changed():
    reducer = filled()
    made = PICTURES["distribution"](reducer, "t")
    made.update(reducer, 60, 0.0)
    made.png()
    made.update(reducer, 60, 0.1)

    assert not made.canvas.stale


def test_limits_grow_at_once_and_shrink_later():
    span = Span()
    assert span.fit(0, 10, now=0)
    assert span.fit(0, 12, now=1)
    assert not span.fit(0, 2, now=2)
    assert not span.fit(0, 2, now=5)
    assert span.fit(0, 2, now=7)
    assert (span.low, span.high) == (0, 2)


def test_a_ceiling_is_a_round_number_that_does_not_flutter():
    ceiling = Ceiling()
    assert ceiling.fit(13, now=0)
    assert ceiling.value == 20
    assert not ceiling.fit(4, now=1)
    assert ceiling.fit(4, now=6)
    assert ceiling.value == 5
    assert [nice(v) for v in (0, 1, 1.5, 3, 7, 20, 21)] == [1, 1, 2, 5, 10, 20, 50]


def test_ticks_are_few_enough_not_to_touch():
    for low in range(-5, 30, 3):
        for width in (3, 5, 8, 13, 20, 30):
            assert 1 <= len(octave_ticks(low, low + width)) <= 7


def test_both_themes_tell_groups_apart_without_colour_vision():
    for theme in THEMES.values():
        assert len(set(theme.palette)) == 7
        assert theme.face not in theme.palette
