"""What a forked child does for one request: run, check, list or doctor."""

from __future__ import annotations

import os
import platform
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernelscope.agent.policy import Policy
from kernelscope.agent.protocol import Program, send_frame
from kernelscope.errors import AgentRefusedError

MAX_CHECKED = 4096
MAX_LISTED = 10_000


@dataclass
class Context:
    """What the server made once and its children inherit."""

    policy: Policy
    tracefs: Path | None
    _compiler: Any = None

    def compiler(self) -> Any:
        """Return the one Compiler, made when first asked for."""
        if self._compiler is None:
            from kernelscope.agent.cache import Cache
            from kernelscope.agent.compiler import Compiler

            self._compiler = Compiler(Cache.open(), self.tracefs)
        return self._compiler

    def describe(self) -> dict[str, Any]:
        """Return what the agent says of itself when it is greeted."""
        return {
            "pid": os.getpid(),
            "uid": os.geteuid(),
            "kernel": platform.release(),
            "machine": platform.machine(),
            "host": platform.node(),
            "python": platform.python_version(),
            "source": self.policy.source,
        }


def preload() -> None:
    """Import what every run needs, so that no forked child has to."""
    from kernelscope.agent import cache, compiler, run  # noqa: F401 - the import is the point


def serve(request: dict[str, Any], sock: socket.socket, context: Context) -> None:
    """Answer one request on `sock`. The caller reports what is raised."""
    kind = request.get("type")
    if kind == "run":
        from kernelscope.agent.run import Run

        program = Program.from_json(request.get("program"))
        context.policy.check(program)
        Run(program, sock, context).execute()
        return
    answers = {"check": _check, "list": _list, "doctor": _doctor}
    if kind not in answers:
        raise AgentRefusedError(f"the agent knows no request {kind!r}", field="type")
    send_frame(sock, answers[kind](request, context))
    send_frame(sock, {"type": "end"})


def _check(request: dict[str, Any], context: Context) -> dict[str, Any]:
    from kernelscope.agent import hook_catalogue as catalogue

    specs = request.get("hooks")
    if (
        not isinstance(specs, list)
        or len(specs) > MAX_CHECKED
        or not all(isinstance(spec, str) for spec in specs)
    ):
        raise AgentRefusedError(f"hooks is not a list of at most {MAX_CHECKED}", field="hooks")
    view = catalogue.KernelView(context.tracefs)
    return {"type": "checked", "hooks": {spec: catalogue.why_not(spec, view) for spec in specs}}


def _list(request: dict[str, Any], context: Context) -> dict[str, Any]:
    from kernelscope.agent import hook_catalogue as catalogue

    values = [request.get(key, "") for key in ("kind", "prefix", "target")]
    limit = request.get("limit", 200)
    if not all(isinstance(value, str) and len(value) < 512 for value in values):
        raise AgentRefusedError("kind, prefix and target are short texts", field="kind")
    if type(limit) is not int or not 0 < limit <= MAX_LISTED:
        raise AgentRefusedError(f"limit is a number from 1 to {MAX_LISTED}", field="limit")
    kind, prefix, target = values
    view = catalogue.KernelView(context.tracefs)
    return {"type": "listed", "names": catalogue.listing(kind, prefix, target, view)[:limit]}


def _doctor(_: dict[str, Any], context: Context) -> dict[str, Any]:
    from kernelscope.agent import examine

    return {"type": "examined", "findings": examine.findings(context.tracefs)}
