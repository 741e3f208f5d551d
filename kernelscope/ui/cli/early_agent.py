"""Starts the agent of a command line before the other imports: the two then run in parallel."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kernelscope.errors import KernelScopeError
from kernelscope.protocol.probe_folder import probe_folder
from kernelscope.tracing.agent_client import Agent


def launched(arguments: Sequence[str]) -> Agent | None:
    """Launch the agent if the command line runs something, else return None.

    Launch errors are ignored here; they surface when the agent is first used.
    """
    if _runs(arguments):
        with suppress(KernelScopeError):
            return Agent.launch()
    return None


def _runs(arguments: Sequence[str]) -> bool:
    """Return whether the line runs something: a probe, a file, or standard input."""
    asks_help = {"-h", "--help"} & set(arguments)
    if not arguments or asks_help or os.environ.get("KERNELSCOPE_REPLAY"):
        return False
    if arguments[0] in ("run", "live"):
        return any(map(_is_program, arguments[1:]))
    return arguments[0].isidentifier() and _is_program(arguments[0])


def _is_program(word: str) -> bool:
    if word == "-":
        return True
    if word.endswith(".c"):
        return Path(word).is_file()
    return word.isidentifier() and any(probe_folder().glob(f"*/{word}.toml"))
