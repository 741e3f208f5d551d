"""C in colours: legible in a light and in a dark notebook, and unchanged as text."""

from __future__ import annotations

import html
import re

import pytest

from kernelscope.probe import catalogue
from kernelscope.ui.c_source import _COLOURS, c_html, c_in_colour

LEAST_CONTRAST = 3.0  # WCAG 2.1, 1.4.11; text of code is also read by its place


def luminance(colour: str) -> float:
    """Return the relative luminance of "#rrggbb" (WCAG 2.1)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("kind", sorted(_COLOURS))
@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
def test_every_colour_is_legible_on_white_and_on_black(kind: str, page: str) -> None:
    fallback = re.search(r"#[0-9a-f]{6}", _COLOURS[kind])
    assert fallback is not None
    assert contrast(fallback[0], page) >= LEAST_CONTRAST


@pytest.mark.parametrize("kind", sorted(_COLOURS))
def test_jupyters_theme_decides_where_there_is_one(kind: str) -> None:
    assert _COLOURS[kind].startswith("var(--jp-mirror-editor-")


def test_the_text_is_the_source() -> None:
    source = catalogue.find("runqlat").source.rstrip()
    assert html.unescape(re.sub(r"<[^>]*>", "", c_html(source))).rstrip() == source
    assert re.sub(r"\x1b\[[\d;]*m", "", c_in_colour(source)) == source
