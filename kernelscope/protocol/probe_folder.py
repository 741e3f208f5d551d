"""The folder of the installed probes: the same for the client and the agent."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def probe_folder() -> Path:
    """Return the folder with the probes' areas and `include/`, in a wheel or a checkout."""
    packaged = PACKAGE / "_bpf"
    return packaged if packaged.is_dir() else PACKAGE.parent / "bpf"
