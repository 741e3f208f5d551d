"""Axes whose limits do not flutter, and their ticks."""

from __future__ import annotations

from kernelscope.ui.live.views.axes import Ceiling, Span, nice, octave_ticks


def test_grows_limits_at_once_and_shrinks_them_later():
    span = Span()
    assert span.fit(0, 10, now=0)
    assert span.fit(0, 12, now=1)
    assert not span.fit(0, 2, now=2)
    assert not span.fit(0, 2, now=5)
    assert span.fit(0, 2, now=7)
    assert (span.low, span.high) == (0, 2)


def test_keeps_a_ceiling_at_a_round_number():
    ceiling = Ceiling()
    assert ceiling.fit(13, now=0)
    assert ceiling.value == 20
    assert not ceiling.fit(4, now=1)
    assert ceiling.fit(4, now=6)
    assert ceiling.value == 5
    assert [nice(v) for v in (0, 1, 1.5, 3, 7, 20, 21)] == [1, 1, 2, 5, 10, 20, 50]


def test_places_few_ticks():
    for low in range(-5, 30, 3):
        for width in (3, 5, 8, 13, 20, 30):
            assert 1 <= len(octave_ticks(low, low + width)) <= 7
