"""`kernelscope run` and `kernelscope live`: probes, the C of a file, or standard input."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelscope.errors import ParameterError
from kernelscope.probe import catalogue
from kernelscope.ui import command_line, messages
from kernelscope.ui.cli import output
from kernelscope.ui.commands import CLI

if TYPE_CHECKING:
    import pandas as pd

    from kernelscope.probe.model import Probe
    from kernelscope.tables.results import Results, Tables
    from kernelscope.tracing.plan import Plan
    from kernelscope.tracing.run_group import Runs
    from kernelscope.tracing.session import Run
    from kernelscope.ui.progress import Progress

_ARGUMENTS = "NAME...|FILE.c|FILE.toml|- [options]"


def run(tokens: Sequence[str]) -> int:
    """Run what the line names, print and write the result; return the exit code."""
    parsed = _parsed(tokens, "run")
    if parsed is None:
        return 0
    from kernelscope.tracing.session import default_session
    from kernelscope.ui.progress import Progress

    plan = _plan(parsed, parsed.given)
    if plan.output.get("save"):
        from kernelscope.ui import outputs  # importing pyarrow's writers takes 25 ms

        outputs.check(plan)
    progress = None if plan.output.get("quiet") else Progress()
    started = default_session().begin(plan, progress)
    result, streamed = _result(started, plan.output, progress)
    default_session().dismiss()
    failed = [] if result is None else output.write(result, plan.output)
    for each in _each(started):
        _report_loss(each, streamed=streamed)
    for error in failed:
        print(messages.error_text(error), file=sys.stderr)
    return 130 if started.interrupted else int(bool(failed))


def live(tokens: Sequence[str]) -> int:
    """Draw what the line names again every second until Ctrl-C; return the exit code."""
    parsed = _parsed(tokens, "live")
    if parsed is None:
        return 0
    from kernelscope.tracing.session import default_session
    from kernelscope.ui.cli import live as view

    view.require_terminal()
    plan = _plan(parsed, {"duration": "inf", **parsed.given})
    for name in plan.output:
        raise ParameterError(f"--{name} cannot be combined with a live view", name=name)
    started = _each(default_session().begin(plan))
    view.show(started)
    for each in started:
        _report_loss(each)
    return 0


def _parsed(tokens: Sequence[str], command: str) -> command_line.Parsed | None:
    """Take the line apart; None where it asked for help, which is then printed."""
    parsed = command_line.parse(tokens, _find, where="cli", prog=f"{CLI.prog} {command}")
    if parsed.help:
        for target in parsed.targets or (None,):
            _print_help(target, command)
        return None
    if not parsed.targets:
        raise ParameterError(
            f"{command} what? Give the name of a probe, a C file, or - for standard input",
            hint="kernelscope list shows the probes",
            name="probe",
        )
    return parsed


def _result(
    started: Run | Runs, wanted: Mapping[str, Any], progress: Progress | None
) -> tuple[pd.DataFrame | Tables | Results | None, bool]:
    """Wait for the result; a terminal gets the rows of events at once, and no result for them."""
    from kernelscope.tracing.run_group import Runs
    from kernelscope.ui.cli import streaming

    if not isinstance(started, Runs) and (table := streaming.streamed_table(started)) is not None:
        kind = output.pipe_kind(wanted)
        endless = math.isinf(started.request.duration_s)
        if kind is not None and endless and len(started.stream.names) == 1:
            streaming.pipe_rows(started, table, kind)
            started.result(warn=False)  # raises what ended it
            return None, True
        if output.to_terminal(wanted):
            if progress is not None:
                progress.clear(0.0)
            streaming.print_rows(started, table, output.terminal_width())
            return output.without(started.result(warn=False), table, wanted), True
    return started.result(progress=progress, warn=False), False


def _report_loss(run: Run, *, streamed: bool = False) -> None:
    """Report lost events and warnings. Rows that were printed are not lost, though not kept."""
    from kernelscope.protocol.losses import Loss
    from kernelscope.tracing import losses

    receipt = run.receipt
    if streamed:
        lost = {cause: n for cause, n in receipt["lost"].items() if cause != Loss.DROPPED_ROWS}
        receipt = {**receipt, "lost": lost}
    loss = losses.loss(receipt)
    if loss is not None:
        print(messages.loss_text(*loss), file=sys.stderr)
    for note in receipt["warnings"]:
        print(messages.warning_text(note), file=sys.stderr)


def _each(started: Run | Runs) -> list[Run]:
    from kernelscope.tracing.run_group import Runs

    return list(started.values()) if isinstance(started, Runs) else [started]


def _plan(parsed: command_line.Parsed, given: Mapping[str, Any]) -> Plan:
    """Check what the line names: one probe, several, or the C of a file.

    Probes leave out this process, which traces itself while it imports and prints.
    """
    from kernelscope.tracing.session import default_session

    session = default_session()
    if parsed.subject is not None:
        return session.plan(parsed.subject, {"exclude_self": True, **given}, where="cli")
    source, name = _source(parsed.targets[0])
    return session.plan(None, given, source=source, name=name, where="cli")


def _print_help(target: str | None, command: str) -> None:
    probe = _find(target) if target is not None else None
    prog = f"{CLI.prog} {command}"
    if probe is not None:
        from kernelscope.ui import help

        print(help.probe_help(probe, where="cli", prog=prog))
    else:
        print(f"{prog} {_ARGUMENTS}\n\n{command_line.usage(where='cli', prog=prog)}")


def _find(target: str) -> Probe | None:
    """Return the probe of that name; None for a C file and standard input."""
    is_described = target.endswith(".toml")  # a custom probe
    is_c = target == "-" or target.endswith(".c") or ("/" in target and not is_described)
    return None if is_c else catalogue.find(target)


def _source(target: str) -> tuple[str, str]:
    """Return the C text and a name for it."""
    from kernelscope.tracing.build_request import program_name

    if target == "-":
        return sys.stdin.read(), "stdin"
    try:
        return Path(target).read_text(encoding="utf-8"), program_name(target)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ParameterError(f"{target}: cannot be read: {why}", name="file") from error
