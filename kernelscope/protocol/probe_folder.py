"""Where the installed probes are: the client and the agent must look in the same folder."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def probe_folder() -> Path:
    """Return the folder with the probes' areas and `include/`: a wheel's, or a checkout's."""
    packaged = PACKAGE / "_bpf"
    return packaged if packaged.is_dir() else PACKAGE.parent / "bpf"
