"""Starts a command line's agent before the rest is imported: both take a while, side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kernelscope.errors import KernelScopeError
from kernelscope.protocol.probe_folder import probe_folder
from kernelscope.tracing.agent_client import Agent


def launched(arguments: Sequence[str]) -> Agent | None:
    """Launch the agent where the command line is one that runs something, else return None.

    Nothing is told of what keeps it from starting: that is told where the agent is needed.
    """
    if _runs(arguments):
        with suppress(KernelScopeError):
            return Agent.launch()
    return None


def _runs(arguments: Sequence[str]) -> bool:
    """Tell whether there is something to run: a probe, a file, or standard input."""
    asks = {"-h", "--help"} & set(arguments)
    if list(arguments[:1]) != ["run"] or asks or os.environ.get("KERNELSCOPE_REPLAY"):
        return False
    return any(map(_is_program, arguments[1:]))


def _is_program(word: str) -> bool:
    if word == "-":
        return True
    if word.endswith(".c"):
        return Path(word).is_file()
    return word.isidentifier() and any(probe_folder().glob(f"*/{word}.toml"))
