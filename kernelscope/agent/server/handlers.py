"""What a forked child does for one request: hello, run, check, list or doctor."""

from __future__ import annotations

import mmap
import socket
from typing import Any

from kernelscope.agent.kernel.os_errors import as_error
from kernelscope.agent.server.context import Context
from kernelscope.errors import AgentRefusedError, KernelScopeError
from kernelscope.protocol.frames import VERSION, decode_header, send_frame
from kernelscope.protocol.program import Program

MAX_CHECKED = 4096
MAX_LISTED = 10_000
MAX_TEXT = 512
SEND_TIMEOUT_S = 60.0


def preload() -> None:
    """Import the modules that every run needs, so that no forked child has to."""
    from kernelscope.agent.run import run  # noqa: F401 - the import is the point


def preload_rest() -> None:
    """Import the modules that some runs need."""
    from kernelscope.agent.attach import usdt_arguments  # noqa: F401 - the import is the point


def serve(line: bytes, sock: socket.socket, context: Context, attaching: mmap.mmap) -> None:
    """Answer the request in `line` on `sock`, with an error if it cannot be served.

    attaching: its first byte becomes 1 before anything is attached that outlives a moment.
    """
    sock.settimeout(SEND_TIMEOUT_S)
    try:
        _serve(line, sock, context, attaching)
    except (BrokenPipeError, ConnectionResetError, TimeoutError):
        pass  # the client is gone
    except (KernelScopeError, OSError) as error:
        failure = as_error(error, "answering the request").to_json()
        send_frame(sock, {"type": "error", "error": failure})
        send_frame(sock, {"type": "end"})
    context.tidy()


def _serve(line: bytes, sock: socket.socket, context: Context, attaching: mmap.mmap) -> None:
    request, _ = decode_header(line)
    kind = request.get("type")
    if kind == "run":
        from kernelscope.agent.run.run import Machine, Run

        program = Program.from_json(request.get("program"))
        program = context.policy.allowed(program)
        context.take_slot()
        machine = Machine(context.compiler, context.tracefs, context.policy.limits())
        Run(program, sock, machine, attaching).execute()
        return
    answers = {"hello": _hello, "check": _check, "list": _list, "doctor": _doctor}
    if not isinstance(kind, str) or kind not in answers:
        raise AgentRefusedError(f"the agent knows no request {kind!r}", field="type")
    send_frame(sock, answers[kind](request, context))
    send_frame(sock, {"type": "end"})


def _hello(request: dict[str, Any], context: Context) -> dict[str, Any]:
    if request.get("version") != VERSION:
        raise AgentRefusedError(
            f"the agent uses version {VERSION} of the protocol, not {request.get('version')!r}",
            hint="install the same version of KernelScope for the client and the agent",
            field="version",
        )
    return {"type": "hello", "version": VERSION, **context.describe()}


def _check(request: dict[str, Any], context: Context) -> dict[str, Any]:
    from kernelscope.agent.attach import hook_availability
    from kernelscope.agent.attach.kinds.kernel_view import KernelView

    specs = request.get("hooks")
    if (
        not isinstance(specs, list)
        or len(specs) > MAX_CHECKED
        or not all(map(_is_short_text, specs))
    ):
        raise AgentRefusedError(
            f"hooks is not a list of at most {MAX_CHECKED} short texts", field="hooks"
        )
    view = KernelView(context.tracefs)
    refusal = context.policy.check_refusal
    reasons = {spec: refusal(spec) or hook_availability.why_not(spec, view) for spec in specs}
    return {"type": "checked", "hooks": reasons}


def _list(request: dict[str, Any], context: Context) -> dict[str, Any]:
    from kernelscope.agent.attach import hook_availability
    from kernelscope.agent.attach.kinds.kernel_view import KernelView

    values = [request.get(key, "") for key in ("kind", "prefix", "target")]
    limit = request.get("limit", 200)
    if not all(map(_is_short_text, values)):
        raise AgentRefusedError("kind, prefix and target are short texts", field="kind")
    if type(limit) is not int or not 0 < limit <= MAX_LISTED:
        raise AgentRefusedError(f"limit is a number from 1 to {MAX_LISTED}", field="limit")
    kind, prefix, target = values
    refused = context.policy.list_refusal(kind)
    if refused:
        raise AgentRefusedError(refused, field="kind")
    view = KernelView(context.tracefs)
    return {
        "type": "listed",
        "names": hook_availability.listing(kind, prefix, target, view)[:limit],
    }


def _doctor(_: dict[str, Any], context: Context) -> dict[str, Any]:
    from kernelscope.agent.server import doctor

    return {
        "type": "examined",
        "findings": doctor.findings(context.tracefs, context.policy.try_refusal),
    }


def _is_short_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT and value.isprintable()
