"""Colours: Okabe and Ito's palette, distinct with any colour vision, on white or on black."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """The colours of a picture.

    palette: for series, the faintest on this background last. cells: matplotlib's colour map for
    amounts. mark: for percentiles, over the palette's first colour.
    """

    name: str
    face: str
    ink: str
    muted: str
    grid: str
    warning: str
    mark: str
    palette: tuple[str, ...]
    cells: str


LIGHT = Theme(
    name="light",
    face="#FFFFFF",
    ink="#262626",
    muted="#8A8A8A",
    grid="#E4E4E4",
    warning="#A63D00",
    mark="#D55E00",
    palette=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442"),
    cells="cividis_r",
)
DARK = Theme(
    name="dark",
    face="#161616",
    ink="#E8E8E8",
    muted="#8A8A8A",
    grid="#333333",
    warning="#FFB37A",
    mark="#F0E442",
    palette=("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#0072B2"),
    cells="cividis",
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}

PALETTE = LIGHT.palette
GREY = LIGHT.muted
INK = LIGHT.ink
WARNING = LIGHT.warning
