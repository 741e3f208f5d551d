"""Start the agent: `python3 -I .../kernelscope/agent/__main__.py`, its control socket on fd 0.

The interpreter runs isolated (no user site, no PYTHON* variables, nothing on the path that a user
can write but this package itself), so the package is created here: a bare `kernelscope` module
whose `__path__` is this directory's parent. `kernelscope/__init__.py` never runs in the agent.
"""

from __future__ import annotations

import gc
import sys
import types
from pathlib import Path


def _enter_package() -> None:
    package = types.ModuleType("kernelscope")
    package.__path__ = [str(Path(__file__).resolve().parent.parent)]
    sys.modules["kernelscope"] = package


if __name__ == "__main__":
    gc.disable()  # starting creates no garbage; the server enables it
    _enter_package()
    from kernelscope.agent.server.server import main

    sys.exit(main())
