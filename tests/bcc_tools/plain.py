"""Runs one of bcc's tools as it is, against a stand-in kernel tree: what plain bcc can do here.

    BCC_KERNEL_SOURCE=TREE python3 plain.py READY TOOL [ARGUMENT...]

The file READY appears when the tool has attached and begins to wait. tracefs is mounted for this
process alone. Runs under the distribution's Python, which has bcc.
"""

from __future__ import annotations

import runpy
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from capture import READS, see_tracepoints  # type: ignore[import-not-found]


def main() -> None:
    """Run the tool that the command line names."""
    ready, *command = sys.argv[1:]
    see_tracepoints()
    import bcc

    def marked(call: Callable[..., Any]) -> Callable[..., Any]:
        def mark_and_call(*values: Any, **named: Any) -> Any:
            Path(ready).touch()
            return call(*values, **named)

        return mark_and_call

    waiting = [(bcc.BPF, name) for name in READS]
    for owner, name in [*waiting, (time, "sleep"), (threading.Event, "wait")]:
        setattr(owner, name, marked(getattr(owner, name)))
    sys.argv = command
    runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    main()
