"""The command line: `kernelscope run|live|list|search|show|doctor`, the same words as %ebpf.

Exit codes: 0 success; 1 the run failed, or nothing was found; 2 the command line is wrong;
130 interrupted (the rows until then have been printed).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kernelscope.errors import (
    KernelScopeError,
    ParameterError,
    ProbeNotFoundError,
    did_you_mean,
    suggestion,
)
from kernelscope.probe import catalogue
from kernelscope.ui import commands, messages, parser
from kernelscope.ui.cli import output
from kernelscope.ui.commands import CLI

if TYPE_CHECKING:
    from kernelscope.probe.model import Probe
    from kernelscope.tracing.plan import Plan

_RUN_USAGE = "kernelscope run NAME...|FILE.c|FILE.toml|- [options]"
_USAGE = """kernelscope: ask the running Linux kernel a question

{commands}

"run" takes the names of probes, FILE.c (BPF C in BCC's dialect; "-" reads standard
input) or FILE.toml (a custom probe: its description, with FILE.c beside it):
kernelscope run biolatency -d 10 --save bio.csv

A terminal gets a table, a pipe gets CSV (--json - for JSON lines).
"kernelscope run --help" and "kernelscope run NAME --help" list the options.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _dispatch(tokens)
        sys.stdout.flush()  # here, where a closed pipe is no error
        return code
    except (ParameterError, ProbeNotFoundError) as error:
        return _fail(error, 2)
    except KernelScopeError as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader has enough: `kernelscope run ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0


def _fail(error: KernelScopeError, code: int) -> int:
    print(messages.error_text(error), file=sys.stderr)
    return code


def _dispatch(tokens: list[str]) -> int:
    if not tokens:
        tokens = ["help"]
    command = commands.named(tokens[0])
    if command is None:
        if tokens[0] in catalogue.names():
            return _run(tokens)
        raise _no_command(tokens[0])
    if command == "help" and len(tokens) == 1:
        print(_USAGE.format(commands=commands.usage(CLI)), end="")
        return 0
    if command == "run":
        return _run(tokens[1:])
    if command == "live" and not {"-h", "--help"} & set(tokens):
        raise ParameterError(
            "a live view needs a notebook", hint="%ebpf live NAME in a notebook", name="live"
        )
    return _answer(command, tokens[1:])


def _no_command(word: str) -> ParameterError:
    close = suggestion(did_you_mean(word, [*commands.NAMES, *catalogue.names()]))
    hint = close or "kernelscope --help lists the commands"
    return ParameterError(f"there is no command {word!r}", hint=hint, name=word)


def _answer(command: str, words: list[str]) -> int:
    from kernelscope.tracing.session import default_session

    shown = commands.answer(command, words, CLI, default_session().check)
    in_colour = getattr(shown, "in_colour", None)
    print(in_colour() if in_colour and sys.stdout.isatty() else shown)
    failed = bool(getattr(shown, "missing", False)) or (command == "search" and not shown)
    return int(failed)


def _run(tokens: list[str]) -> int:
    parsed = parser.parse(tokens, _find, where="cli", prog=CLI.run)
    if parsed.help:
        return max(_run_help(target) for target in parsed.targets or (None,))
    if not parsed.targets:
        raise ParameterError(
            "run what? Give the name of a probe, a C file, or - for standard input",
            hint="kernelscope list shows the probes",
            name="probe",
        )
    from kernelscope.tracing.session import default_session

    plan = _plan(parsed)
    run = default_session().begin(plan)
    from kernelscope.tracing.run_group import Runs
    from kernelscope.ui.progress import Progress

    progress = None if plan.output.get("quiet") else Progress()
    result = run.result(progress=progress, warn=False)
    default_session().dismiss()
    failed = output.write(result, plan.output)
    for each in run.values() if isinstance(run, Runs) else [run]:
        if each.loss is not None:
            print(messages.loss_text(*each.loss), file=sys.stderr)
    code = max([0, *(_fail(error, 1) for error in failed)])
    return 130 if run.interrupted else code


def _plan(parsed: parser.Parsed) -> Plan:
    """Check what the line names: one probe, several, or the C of a file."""
    from kernelscope.tracing.session import default_session

    session = default_session()
    if parsed.subject is not None:
        return session.plan(parsed.subject, parsed.given, where="cli")
    source, name = _source(parsed.targets[0])
    return session.plan(None, parsed.given, source=source, name=name, where="cli")


def _run_help(target: str | None) -> int:
    probe = _find(target) if target is not None else None
    if probe is not None:
        from kernelscope.ui import help

        print(help.probe_help(probe, where="cli", prog=CLI.run))
    else:
        print(f"{_RUN_USAGE}\n\n{parser.usage(where='cli')}")
    return 0


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
