"""How a live view looks: the options of `%ebpf live` and of `kernelscope.live`, checked."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from kernelscope import converters
from kernelscope.errors import KernelScopeError, ParameterError
from kernelscope.plotting.theme import THEMES
from kernelscope.ui.live.choose import kinds
from kernelscope.ui.live.views import SIZE

_LEAST_SIZE, _MOST_SIZE = (320, 200), (2000, 1200)


@dataclass(frozen=True)
class ViewOptions:
    """How a view looks.

    window_s: the time in view. rate: frames per second. theme: "light" or "dark". kind: the kind of
    view, None for the probe's own. size: of a picture, in pixels. speed: of a recording, relative
    to the original.
    """

    window_s: float = 60
    rate: float = 10
    theme: str = "light"
    kind: str | None = None
    size: tuple[int, int] = SIZE
    speed: float = 1


def parse(tokens: Sequence[str]) -> tuple[ViewOptions, list[str]]:
    """Return a line's view options, and its other words. Raises ParameterError."""
    parser = _Parser(prog="%ebpf live", add_help=False, allow_abbrev=False)
    parser.add_argument("--window", default="60")
    parser.add_argument("--refresh", default="10")
    parser.add_argument("--view")
    parser.add_argument("--theme", default="light")
    parser.add_argument("--speed", default="1")
    parser.add_argument("--size", default=f"{SIZE[0]}x{SIZE[1]}")
    found, rest = parser.parse_known_args(tokens)
    try:
        width, height = (int(part) for part in found.size.split("x"))
    except ValueError:
        raise ParameterError(
            f"--size {found.size}: not a size", hint="write it as 600x300", name="size"
        ) from None
    size = width, height
    options = checked(found.window, found.refresh, found.view, found.theme, size, found.speed)
    return options, rest


def checked(
    window: Any,
    refresh: Any,
    view: str | None,
    theme: str,
    size: tuple[int, int] = SIZE,
    speed: Any = 1,
) -> ViewOptions:
    """Return the options. Raises ParameterError for a value out of range."""
    try:
        window_s, rate, times = converters.run_time(window), float(refresh), float(speed)
    except (ValueError, KernelScopeError) as error:
        raise ParameterError(
            f"window {window}, refresh {refresh}, speed {speed}: {error}", name="window"
        ) from None
    checks = {
        f"window {window}: must be from 5 s to 10 min": 5 <= window_s <= 600,
        f"refresh {refresh}: must be from 0.2 to 30 per second": 0.2 <= rate <= 30,
        f"speed {speed}: must be from 0.01 to 1000": 0.01 <= times <= 1000,
        f"view {view}: must be one of {', '.join(kinds())}": view is None or view in kinds(),
        f"theme {theme}: must be one of {', '.join(THEMES)}": theme in THEMES,
        f"size {size[0]}x{size[1]}: must be from 320x200 to 2000x1200": all(
            low <= each <= high
            for low, each, high in zip(_LEAST_SIZE, size, _MOST_SIZE, strict=True)
        ),
    }
    for message, holds in checks.items():
        if not holds:
            raise ParameterError(message, name=message.partition(" ")[0])
    return ViewOptions(window_s, rate, theme, view, size, times)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ParameterError(message.removeprefix("argument "), name="live")
