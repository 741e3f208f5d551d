"""The command line: `kernelscope run|list|search|show|doctor`, the same names and options as %ebpf.

Exit codes: 0 done, 1 the run failed, 2 the command line is wrong, 130 interrupted (what there was
until then has been printed).
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelscope.errors import KernelScopeError, ParameterError, ProbeNotFoundError, did_you_mean
from kernelscope.probe import catalogue
from kernelscope.tracing import options
from kernelscope.ui import listing, messages, parser
from kernelscope.ui.cli import dataframe_text

if TYPE_CHECKING:
    import pandas as pd

    from kernelscope.probe.model import Probe
    from kernelscope.tables.results import Results, Tables
    from kernelscope.tracing.run_group import Runs
    from kernelscope.tracing.session import Run

_USAGE = """kernelscope: ask the running Linux kernel a question

  kernelscope list               the probes, and which of them this kernel runs
  kernelscope search WORD...     the probes that answer a question: search slow disk
  kernelscope show NAME          all about a probe, with its C
  kernelscope run NAME           run a probe: run biolatency -d 10 --save bio.csv
  kernelscope run NAME NAME...   run several together, each with its own table
  kernelscope run FILE.c         run BPF C in BCC's dialect; "-" reads it from
                                 standard input
  kernelscope run FILE.toml      run a probe of your own: its description, and FILE.c
  kernelscope doctor             what works on this machine, and what would mend
                                 the rest

A terminal gets a table, a pipe gets CSV (--json - for JSON lines).
"kernelscope run --help" and "kernelscope run NAME --help" list the options.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _dispatch(tokens)
        sys.stdout.flush()  # here, where a reader that is gone is no error
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
    command, rest = (tokens[0], tokens[1:]) if tokens else ("--help", [])
    commands: dict[str, Callable[[list[str]], int]] = {
        "run": _run,
        "list": _list,
        "search": _search,
        "show": _show,
        "doctor": _doctor,
        "--help": _usage,
        "-h": _usage,
        "--version": _version,
    }
    if command not in commands:
        matches = did_you_mean(command, list(commands))
        hint = f"Did you mean {matches[0]}?" if matches else "kernelscope --help lists them"
        raise ParameterError(f"there is no command {command!r}", hint=hint, name=command)
    return commands[command](rest)


def _usage(_: list[str]) -> int:
    print(_USAGE, end="")
    return 0


def _version(_: list[str]) -> int:
    from kernelscope.version import __version__

    print(f"kernelscope {__version__}")
    return 0


def _doctor(tokens: list[str]) -> int:
    from kernelscope.ui.cli import doctor

    return doctor.main(tokens)


def _list(tokens: list[str]) -> int:
    if tokens:
        raise ParameterError(f"unexpected {tokens[0]!r}", hint="kernelscope list", name=tokens[0])
    from kernelscope.tracing.session import default_session

    how = (
        "kernelscope run NAME runs one for a while; kernelscope show NAME tells all about it;"
        " kernelscope search WORD... finds one."
    )
    print(listing.listing(catalogue.catalogue().values(), default_session().check, how))
    return 0


def _search(tokens: list[str]) -> int:
    from kernelscope.probe import search

    found = search.asked(" ".join(tokens), prog="kernelscope search")
    print(found)
    return 0 if found else 1


def _show(tokens: list[str]) -> int:
    from kernelscope.tracing.session import default_session
    from kernelscope.ui import help

    probe = help.named(" ".join(tokens), "kernelscope show")
    told = help.description(probe, default_session().check, where="cli", prog="kernelscope run")
    print(told.in_colour() if sys.stdout.isatty() else told)
    return 0


def _run(tokens: list[str]) -> int:
    parsed = parser.parse(tokens, _find, where="cli", prog="kernelscope run")
    if parsed.help:
        return max(_run_help(target) for target in parsed.targets or (parsed.target,))
    if parsed.target is None:
        raise ParameterError(
            "run what? Give a probe's name, a file of C, or - for standard input",
            hint="kernelscope list shows the probes",
            name="probe",
        )
    wanted = options.of_output(parsed.given, where="cli")
    run = _begin(parsed)
    from kernelscope.tracing.run_group import Runs
    from kernelscope.tracing.session import default_session
    from kernelscope.ui.progress import Progress

    progress = None if wanted.get("quiet") else Progress()
    result = run.result(progress=progress, warn=False)
    default_session().dismiss()
    code = _print(result, wanted)
    for each in run.values() if isinstance(run, Runs) else [run]:
        if each.loss is not None:
            print(messages.loss_text(*each.loss), file=sys.stderr)
    return 130 if run.interrupted else code


def _begin(parsed: parser.Parsed) -> Run | Runs:
    """Start what the command line names: several probes, one, or a file's C."""
    from kernelscope.tracing.session import default_session

    session = default_session()
    if parsed.targets:
        return session.submit_all(session.requests(parsed.targets, parsed.given, where="cli"))
    target = str(parsed.target)
    probe = _find(target)
    if probe is not None:
        return session.submit(session.request(probe, None, parsed.given, where="cli"))
    source, name = _source(target)
    return session.submit(session.request(None, source, parsed.given, name=name, where="cli"))


def _run_help(target: str | None) -> int:
    probe = _find(target) if target is not None else None
    if probe is not None:
        from kernelscope.ui import help

        print(help.probe_help(probe, where="cli", prog="kernelscope run"))
    else:
        print(f"kernelscope run NAME|FILE.c|- [options]\n\n{parser.usage(where='cli')}")
    return 0


def _find(target: str) -> Probe | None:
    """Return the probe of that name; None where the name is a file's or standard input."""
    is_described = target.endswith(".toml")  # a probe of one's own
    is_c = target == "-" or target.endswith(".c") or ("/" in target and not is_described)
    return None if is_c else catalogue.find(target)


def _source(target: str) -> tuple[str, str]:
    """Return the C text and a name for it."""
    from kernelscope.tracing.request import program_name

    if target == "-":
        return sys.stdin.read(), "stdin"
    try:
        return Path(target).read_text(encoding="utf-8"), program_name(target)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ParameterError(f"{target}: cannot be read: {why}", name="file") from error


def _print(result: pd.DataFrame | Tables | Results, wanted: Mapping[str, Any]) -> int:
    """Write the files that were asked for, and standard output; 1 where a file was not written."""
    asked = [kind for kind in options.FILES if kind in wanted]
    written: list[Path] = []
    failed: list[KernelScopeError] = []
    if asked:
        from kernelscope.ui import outputs  # pyarrow's files take 25 ms to import

        written, failed = outputs.write(result, wanted)
    for path in written:
        print(f"wrote {path}", file=sys.stderr)
    to_stdout = [kind for kind in asked if wanted[kind] is None]
    for kind in to_stdout:
        _write(result, kind)
    if sys.stdout.isatty() and not to_stdout:
        _write(result, "table")
    elif not asked or (failed and not to_stdout):  # what was traced must not be lost
        _write(result, "csv")
    sys.stdout.flush()
    return max([0, *(_fail(error, 1) for error in failed)])


def _write(result: pd.DataFrame | Tables | Results, kind: str) -> None:
    from kernelscope.tables.results import by_name

    for index, (name, table) in enumerate(by_name(result).items()):
        if name and kind != "json":
            print("\n" * bool(index) + f"# {name}")
        if kind == "table":
            print(dataframe_text.table(table, shutil.get_terminal_size((100, 24)).columns))
        elif kind == "csv":
            table.to_csv(sys.stdout, index=False, lineterminator="\n")
        else:
            shown = table.assign(table=name) if name else table
            shown.to_json(sys.stdout, orient="records", lines=True, date_format="iso")
