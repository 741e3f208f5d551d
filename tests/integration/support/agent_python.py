"""Run a function of a test's companion module the way the agent runs: isolated, system Python.

The interpreter has nothing but the standard library and bcc, and `kernelscope` is entered as
`kernelscope/agent/__main__.py` enters it. What the function returns comes back as JSON.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kernelscope.errors import from_json

ROOT = Path(__file__).resolve().parents[3]
_BOOTSTRAP = """
import importlib, json, os, sys, types
package = types.ModuleType("kernelscope")
package.__path__ = [sys.argv[1] + "/kernelscope"]
sys.modules["kernelscope"] = package
sys.path.append(sys.argv[1] + "/tests/integration/agent_side")
function = getattr(importlib.import_module(sys.argv[2]), sys.argv[3])
result = function(*json.loads(sys.argv[4]))
sys.stdout.write("\\n" + json.dumps(result))
sys.stdout.flush()
os._exit(0)  # as the agent's children end: after an error LLVM's own clean-up may hang
"""


def call(
    module: str,
    function: str,
    *arguments: Any,
    timeout_s: float = 60,
    under: Sequence[str] = (),
) -> Any:
    """Call agent_side/MODULE.py's FUNCTION in a process of its own; return its result.

    under: a command that runs the interpreter, as ("unshare", "--pid", "--fork").
    """
    command = [*under, "/usr/bin/python3", "-I", "-c", _BOOTSTRAP, str(ROOT), module, function]
    done = subprocess.run(
        [*command, json.dumps(arguments)], capture_output=True, text=True, timeout=timeout_s
    )
    if done.returncode:
        raise AssertionError(f"{module}.{function} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.rpartition("\n")[2])


def ask(module: str, function: str, *, under: Sequence[str] = (), **arguments: Any) -> Any:
    """Call a function through its module's `answer`; raises the KernelScopeError it raised."""
    answer = call(module, "answer", function, arguments, under=under)
    if "error" in answer:
        raise from_json(answer["error"])
    return answer["result"]
