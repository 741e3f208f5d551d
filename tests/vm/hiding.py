"""An agent, or the doctor, on a machine that lacks something: hidden in a namespace of its own."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kernelscope.tracing.agent_client import Agent

_PYTHON = "/usr/bin/python3"


@contextmanager
def agent_where(preparation: str, folder: Path, user: str = "") -> Iterator[Agent]:
    """Start an agent behind a shell command that runs first, in a mount namespace of its own.

    folder: a place for a file. user: whom to become after the command ("setpriv" options).
    """
    wrapper = folder / "python"
    inner = f'{preparation} && exec {user} {_PYTHON} "$@"'
    wrapper.write_text(f'#!/bin/sh\nexec unshare --mount sh -c {shlex.quote(inner)} sh "$@"\n')
    wrapper.chmod(0o755)
    with Agent.start(python=str(wrapper)) as agent:
        yield agent


def doctor_where(preparation: str, user: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Return the findings of `kernelscope doctor` after a shell command, by check."""
    doctor = shlex.join([*user, sys.executable, "-m", "kernelscope", "doctor", "--json"])
    command = ["unshare", "--mount", "sh", "-c", f"{preparation} && exec {doctor}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout, done.stderr
    return {finding["check"]: finding for finding in json.loads(done.stdout)}
