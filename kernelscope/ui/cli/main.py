"""The command line: `kernelscope run|live|list|search|show|doctor`, the same words as %ebpf.

Exit codes: 0 success; 1 the run failed, or nothing was found; 2 the command line is wrong;
130 interrupted (the rows until then have been printed).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from kernelscope.errors import (
    KernelScopeError,
    ParameterError,
    ProbeNotFoundError,
    did_you_mean,
    suggestion,
)
from kernelscope.probe import catalogue
from kernelscope.ui import commands, messages
from kernelscope.ui.cli import run
from kernelscope.ui.commands import CLI

_USAGE = """kernelscope: ask the running Linux kernel a question

{commands}

"run" takes the names of probes, FILE.c (BPF C in BCC's dialect; "-" reads standard
input) or FILE.toml (a custom probe: its description, with FILE.c next to it):
kernelscope run biolatency -d 10 --save bio.csv

A terminal gets rows as they happen, tables and histograms. A pipe gets CSV, or JSON
lines with --json -; a line "# NAME" precedes each table if there are several.
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
            return run.run(tokens)
        raise _no_command(tokens[0])
    if command == "help" and len(tokens) == 1:
        print(_USAGE.format(commands=commands.usage(CLI)), end="")
        return 0
    if command == "run":
        return run.run(tokens[1:])
    if command == "live":
        return run.live(tokens[1:])
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
