"""The options of a run: one table that serves %%ebpf, %ebpf, the command line and the Python API.

`parse` reads a command line's tokens, `checked` converts what any of the four was given. Both raise
ParameterError, never SystemExit, and nothing is printed.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn

from kernelscope import cgroups, chosen, formats, values
from kernelscope.agent.protocol import MAX_FIELDS
from kernelscope.errors import ParameterError, ProbeNotFoundError, did_you_mean
from kernelscope.probe import Parameter, Probe


@dataclass(frozen=True)
class Option:
    """One option: `name` in Python, `flags` on a command line; no metavar means a switch.

    where: "run" (everywhere), "output" (all but the Python API), "notebook" (magics alone).
    """

    name: str
    flags: tuple[str, ...]
    metavar: str
    convert: Callable[[Any], Any]
    help: str
    where: str = "run"
    repeat: bool = False


OPTIONS: tuple[Option, ...] = (
    Option("duration", ("-d", "--duration"), "TIME", values.run_time,
           "How long to trace: 5, 500ms, 2m, 1h, or inf (until stopped)"),
    Option("pid", ("--pid",), "PID", values.process_id, "Trace this process alone"),
    Option("comm", ("--comm",), "NAME", values.comm, "Trace processes of this name alone"),
    Option("uid", ("--uid",), "USER", values.user_id, "Trace this user (name or number) alone"),
    Option("cgroup", ("--cgroup",), "CGROUP", cgroups.find,
           "Trace this cgroup, with those below it, alone: a path, an id or a container's id"),
    Option("tree", ("--tree",), "PID", values.process_id,
           "Trace this process, with all that it starts, alone"),
    Option("attach", ("--attach",), "HOOK=FUNCTION", values.attachments,
           'Attach a C function: "uprobe:c:malloc=on_malloc" (may be repeated)', repeat=True),
    Option("defines", ("-D",), "NAME=VALUE", values.macros,
           "Define a macro for the C (may be repeated)", repeat=True),
    Option("table", ("--table",), "NAME", values.text, "Give this table alone"),
    Option("max_rows", ("--max-rows",), "N", values.row_limit,
           "Keep the latest N rows of each table: 10k, 1M (what fits in a quarter of the memory)"),
    Option("interval", ("--interval",), "TIME", values.read_interval,
           "Also read the maps this often while it runs"),
    Option("ring", ("--ring",), "SIZE", values.ring_size,
           "Size of each ring buffer (16M); larger loses less in a flood"),
    Option("max_entries", ("--max-entries",), "N", values.map_entries,
           "Size of each hash whose size the C does not state"),
    Option("per_cpu", ("--per-cpu",), "", values.flag, "Keep per-CPU values apart, unsummed"),
    Option("offsets", ("--offsets",), "", values.flag, "Show offsets in stack frames"),
    Option("types", ("--type",), "COLUMN=KIND", values.pairs,
           "Read a cell's column as ipv4, errno, syscall, duration, ... (may be repeated)",
           repeat=True),
    Option("exclude_self", ("--exclude-self",), "", values.flag, "Leave this process itself out"),
    Option("record", ("--record",), "FILE", values.file_path,
           "Keep the raw data too; kernelscope.open(FILE) replays it"),
    Option("csv", ("--csv",), "PATH", values.output_path, "Write the result as CSV", "output"),
    Option("parquet", ("--parquet",), "PATH", values.file_path,
           "Write the result as Parquet", "output"),
    Option("json", ("--json",), "PATH", values.output_path,
           "Write the result as JSON lines", "output"),
    Option("quiet", ("--quiet",), "", values.flag, "Show no progress", "output"),
    Option("out", ("-o", "--out"), "NAME", values.identifier,
           "Bind the result to this name too", "notebook"),
    Option("bg", ("--bg",), "", values.flag,
           "Run in the background: gives a Run to poll, stop and read", "notebook"),
)  # fmt: skip

FILTERS = ("pid", "comm", "uid", "cgroup", "tree")

_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "integer": values.integer,
    "float": values.number,
    "flag": values.flag,
    "text": values.text,
    "duration": values.duration,
    "size": values.size,
    "disk": values.disk,
    "condition": formats.condition,
}


@dataclass(frozen=True)
class Parsed:
    """A command line, taken apart: what to run and the options given, still as text.

    targets: all that is named, where it is more than one; several probes run together.
    """

    target: str | None
    given: dict[str, Any] = field(default_factory=dict)
    help: bool = False
    targets: tuple[str, ...] = ()


class _Help(argparse.HelpFormatter):
    """Flags and what they do side by side, in the width that there is."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=help_width())


class _Parser(argparse.ArgumentParser):
    """argparse that raises instead of printing and exiting."""

    def error(self, message: str) -> NoReturn:
        raise ParameterError(
            message.removeprefix("argument "), hint=f"{self.prog} --help lists the options"
        )


def help_width() -> int:
    """Return how many characters a line of help may have: the terminal's, 96 at most."""
    return min(96, shutil.get_terminal_size((96, 24)).columns)


def flag_of(parameter: Parameter) -> str:
    """Return a probe's parameter as a command line names it."""
    return "--" + parameter.name.replace("_", "-")


def offered(where: str) -> list[Option]:
    """Return the options there are in "api", "cli" or "magic"."""
    shown = {"api": {"run"}, "cli": {"run", "output"}, "magic": {"run", "output", "notebook"}}
    return [option for option in OPTIONS if option.where in shown[where]]


def parser(
    probe: Probe | Sequence[Probe] | None = None, *, where: str = "magic", prog: str = "%ebpf"
) -> _Parser:
    """Build the parser for one place; with probes, their own parameters are options too."""
    made = _Parser(prog=prog, add_help=False, allow_abbrev=False, formatter_class=_Help)
    if isinstance(probe, Probe):
        own = made.add_argument_group(f"options of {probe.name}")
        for parameter in probe.parameters:
            add_parameter(own, parameter, [flag_of(parameter)], parameter.name)
    elif probe is not None:
        from kernelscope import group_options

        group_options.add_options(made, probe)
    else:
        made.add_argument("targets", nargs="*", help=argparse.SUPPRESS)
    common = made.add_argument_group("options")
    common.add_argument("-h", "--help", action="store_true", help="Show this help")
    useless = _useless(probe) if isinstance(probe, Probe) else ()
    for option in offered(where):
        _add_option(common, option, argparse.SUPPRESS if option.name in useless else option.help)
    return made


def _useless(probe: Probe) -> tuple[str, ...]:
    """Return the options that a probe refuses; they are read, to say why, and not offered."""
    filters = FILTERS if probe.filters == "none" else ()
    return ("attach", "types", *filters)


def _add_option(group: Any, option: Option, text: str) -> None:
    if not option.metavar:
        group.add_argument(
            *option.flags, dest=option.name, action="store_true", default=None, help=text
        )
        return
    action = "append" if option.repeat else "store"
    group.add_argument(
        *option.flags, dest=option.name, metavar=option.metavar, action=action, help=text
    )


def add_parameter(
    group: Any, parameter: Parameter, flags: Sequence[str], dest: str, *, hidden: bool = False
) -> None:
    """Add a probe's parameter under those flags to a parser; `dest` is its name in the result."""
    text = argparse.SUPPRESS if hidden else parameter.help.replace("%", "%%")
    if parameter.kind == "flag":
        group.add_argument(*flags, dest=dest, action="store_true", default=None, help=text)
        return
    if not hidden:
        text += _remark(parameter)
    metavar = "|".join(parameter.choices) or parameter.kind.upper()
    group.add_argument(*flags, dest=dest, metavar=metavar, help=text)


def _remark(parameter: Parameter) -> str:
    """Return a parameter's range and default for its help: " (1 to 5000 Hz; default: 99 Hz)"."""
    unit = f" {parameter.unit}" if parameter.unit else ""
    low, high = parameter.minimum, parameter.maximum
    said = []
    if low is not None and high is not None:
        said.append(f"{low:,g} to {high:,g}{unit}")
    elif low is not None:
        said.append(f"at least {low:,g}{unit}")
    elif high is not None:
        said.append(f"at most {high:,g}{unit}")
    if parameter.default is not None:
        said.append(f"default: {parameter.default}{unit}")
    return f" ({'; '.join(said)})" if said else ""


def split(line: str) -> list[str]:
    """Split a magic's line as a shell would, a comment left out.

    Raises ParameterError for an unclosed quote.
    """
    try:
        return shlex.split(_without_comment(line))
    except ValueError as error:
        raise ParameterError(
            f"the line cannot be read: {str(error).lower()}", hint="close every quote", name="line"
        ) from None


def _without_comment(line: str) -> str:
    for found in re.finditer(r"(^|\s)#", line):
        before = line[: found.start()]
        with suppress(ValueError):  # where a quote is open before it, it begins no comment
            shlex.split(before)
            return before
    return line


def parse(
    tokens: Sequence[str],
    find: Callable[[str], Probe | None],
    *,
    where: str = "magic",
    prog: str = "%ebpf",
) -> Parsed:
    """Take a command line apart. Raises ParameterError with close matches.

    find: gives the probe of a name, None where the name stands for a file or standard input.
    """
    common = parser(where=where, prog=prog)
    first, unknown = common.parse_known_args(tokens)
    targets = [*first.targets, *_more_targets(unknown)] if first.targets else []
    try:
        probes = [find(target) for target in targets]
    except ProbeNotFoundError as error:
        if tokens[0] != error.details["name"] and unknown:  # it is a misspelt option's value
            raise _unexpected(unknown, common) from None
        raise
    made = common
    rest = list(tokens)
    if any(probe is not None for probe in probes) or len(probes) > 1:
        made = _parser_for(targets, probes, where, prog)
        for target in targets:
            rest.remove(target)
    found, extra = made.parse_known_args(rest)
    if extra:
        raise _unexpected(extra, made)
    given = {name: value for name, value in vars(found).items() if value is not None}
    given.pop("targets", None)
    several = tuple(targets) if len(targets) > 1 else ()
    asks_help = bool(given.pop("help", False))
    return Parsed(targets[0] if targets else None, given, asks_help, several)


def _more_targets(unknown: Sequence[str]) -> list[str]:
    """Return those words of a line that stand after options and are no option's value."""
    return [
        word
        for before, word in zip(["", *unknown], unknown, strict=False)
        if not word.startswith("-") and not before.startswith("-")
    ]


def _parser_for(
    targets: Sequence[str], probes: Sequence[Probe | None], where: str, prog: str
) -> _Parser:
    if len(probes) == 1:
        return parser(probes[0], where=where, prog=f"{prog} {targets[0]}")
    from kernelscope import group_options

    found = group_options.probes_of(targets, probes)
    return parser(found, where=where, prog=f"{prog} {' '.join(targets)}")


def _unexpected(extra: Sequence[str], made: _Parser) -> ParameterError:
    flags = [flag for action in made._actions for flag in action.option_strings]
    wrong = next((token for token in extra if token.startswith("-")), None)
    if wrong is None:
        hint = f"{made.prog} --help lists the options"
        return ParameterError(f"unexpected {extra[0]!r}", hint=hint, name=extra[0])
    name = wrong.partition("=")[0]
    return ParameterError(
        f"there is no option {name}{_elsewhere(name)}",
        hint=_suggestion(did_you_mean(name, flags)) or f"{made.prog} --help lists the options",
        name=name,
    )


def _elsewhere(flag: str) -> str:
    return next(
        (" outside a notebook" for o in OPTIONS if flag in o.flags and o.where == "notebook"), ""
    )


def _suggestion(matches: Sequence[str]) -> str:
    return f"Did you mean {' or '.join(matches)}?" if matches else ""


def checked(
    given: Mapping[str, Any], probe: Probe | None = None, *, where: str = "magic"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Convert options and parameters: (options by name, the probe's parameters by name).

    A value of None is as if it had not been given. Raises ParameterError naming the option.
    """
    options = {option.name: option for option in offered(where)}
    parameters = {p.name: p for p in probe.parameters} if probe else {}
    found: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        if name in parameters:
            own[name] = parameter_value(parameters[name], value)
        elif name in options:
            found[name] = _convert(_label(options[name], where), options[name].convert, value)
        else:
            raise _unknown(name, [*parameters, *options], probe)
    return found, own


def of_output(given: Mapping[str, Any], *, where: str = "magic") -> dict[str, Any]:
    """Return the options of a line, converted, that say what becomes of its result."""
    names = {option.name for option in offered(where) if option.where != "run"}
    return checked({name: given[name] for name in given if name in names}, where=where)[0]


def _label(option: Option, where: str) -> str:
    return option.name if where == "api" else option.flags[-1]


def _unknown(name: str, known: Iterable[str], probe: Probe | None) -> ParameterError:
    whose = probe.name if probe else "a program of your own"
    matches = did_you_mean(name, list(known))
    return ParameterError(
        f"{whose} has no option {name!r}", hint=_suggestion(matches) or None, name=name
    )


def _convert(label: str, convert: Callable[[Any], Any], value: Any) -> Any:
    try:
        return convert(value)
    except (ValueError, TypeError, OSError) as error:
        shown = " ".join(map(str, value)) if isinstance(value, list) else str(value)
        raise ParameterError(f"{label} {shown}: {error}", name=label, value=shown) from None


def parameter_value(parameter: Parameter, value: Any) -> Any:
    """Return a parameter's value, converted and within its range. Raises ParameterError."""
    label = flag_of(parameter)
    if parameter.kind == "choice":
        if value not in parameter.choices:
            raise ParameterError(
                f"{label} {value}: is none of {', '.join(parameter.choices)}",
                hint=_suggestion(did_you_mean(str(value), parameter.choices)) or None,
                name=parameter.name,
                value=str(value),
            )
        return value
    converted = _convert(label, _converter(parameter), value)
    if parameter.kind in ("integer", "float", "duration", "size"):
        _check_range(parameter, label, value, converted)
    return converted


def _converter(parameter: Parameter) -> Callable[[Any], Any]:
    if parameter.kind == "hook":
        return partial(chosen.read, kinds=parameter.hooks)
    if parameter.kind == "format":
        return partial(formats.read, most=int(parameter.maximum or MAX_FIELDS))
    return _CONVERTERS[parameter.kind]


def _check_range(parameter: Parameter, label: str, value: Any, converted: float) -> None:
    low, high = parameter.minimum, parameter.maximum
    below = low is not None and converted < low
    above = high is not None and converted > high
    if not below and not above and converted != float("inf"):
        return
    unit = {"duration": " s", "size": " bytes"}.get(parameter.kind, "")
    bounds = [f"at least {low:g}{unit}"] if low is not None else []
    bounds += [f"at most {high:g}{unit}"] if high is not None else []
    raise ParameterError(
        f"{label} {value}: must be {' and '.join(bounds) or 'finite'}",
        name=parameter.name,
        value=str(value),
    )


def usage(probe: Probe | None = None, *, where: str = "magic", prog: str = "%ebpf") -> str:
    """Return the options as help text, a probe's own first."""
    text = parser(probe, where=where, prog=prog).format_help()
    return text[text.index("\n\n") + 2 :].rstrip()
