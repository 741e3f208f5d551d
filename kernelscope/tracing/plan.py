"""What is about to run: one program or several probes together, and what to do with its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kernelscope.tracing.request import Request


@dataclass(frozen=True)
class Placement:
    """How a run is placed among others.

    group: how many probes run together, None for a run by itself; those of a group load first and
    attach together. cell_thread: the thread of a notebook's cell, to trace the cell alone.
    max_bytes: of raw data that is kept, None for what fits.
    """

    group: int | None = None
    cell_thread: int | None = None
    max_bytes: int | None = None


ALONE = Placement()


@dataclass(frozen=True)
class Plan:
    """Checked requests. together: several probes with one result, a mapping of theirs.

    output: the options that describe what to do with the result ("csv", "save", "out", "bg", ...).
    """

    requests: tuple[Request, ...]
    output: Mapping[str, Any]
    together: bool = False
