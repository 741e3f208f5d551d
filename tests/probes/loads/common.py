"""What several loads use. A load runs isolated, with this folder alone on its path."""

from __future__ import annotations

from pathlib import Path


def take_name(name: str) -> None:
    """Name this process: what a probe shows as comm."""
    Path("/proc/self/comm").write_text(name)
