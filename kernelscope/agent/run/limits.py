"""The limits that the machine's policy sets for one run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of one run.

    duration_s: it ends then, even if it was to last until stopped.
    memory_bytes: of its rings, maps and send queue together; None for no limit.
    restricted: the caller is not trusted with other users' data: no addresses, and only files
        that a process has mapped.
    """

    duration_s: float
    memory_bytes: int | None = None
    restricted: bool = False
