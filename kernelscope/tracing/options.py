"""The options of a run: one table that serves %%ebpf, %ebpf, the command line and the Python API.

`checked` converts what any of the four was given and raises ParameterError; `command_line` reads
lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from kernelscope import converters
from kernelscope.errors import ParameterError, did_you_mean, suggestion
from kernelscope.io import suffixes
from kernelscope.probe import call_format, hook_selection
from kernelscope.probe.model import Parameter, Probe
from kernelscope.protocol.program import MAX_FIELDS
from kernelscope.tracing import cgroups


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
    Option("duration", ("-d", "--duration"), "TIME", converters.run_time,
           "How long to trace: 5, 500ms, 2m, 1h, or inf (until stopped)"),
    Option("pid", ("--pid",), "PID", converters.process_id, "Trace this process alone"),
    Option("comm", ("--comm",), "NAME", converters.comm, "Trace processes of this name alone"),
    Option("uid", ("--uid",), "USER", converters.user_id, "Trace this user (name or number) alone"),
    Option("cgroup", ("--cgroup",), "CGROUP", cgroups.find,
           "Trace this cgroup, with those below it, alone: a path, an id or a container's id"),
    Option("tree", ("--tree",), "PID", converters.process_id,
           "Trace this process, with all that it starts, alone"),
    Option("attach", ("--attach",), "HOOK=FUNCTION", converters.attachments,
           'Attach a C function: "uprobe:c:malloc=on_malloc" (may be repeated)', repeat=True),
    Option("defines", ("-D",), "NAME=VALUE", converters.macros,
           "Define a macro for the C (may be repeated)", repeat=True),
    Option("table", ("--table",), "NAME", converters.text, "Give this table alone"),
    Option("max_rows", ("--max-rows",), "N", converters.row_limit,
           "Keep the latest N rows of each table: 10k, 1M (what fits in a quarter of the memory)"),
    Option("interval", ("--interval",), "TIME", converters.read_interval,
           "Also read the maps this often while it runs"),
    Option("ring", ("--ring",), "SIZE", converters.ring_size,
           "Size of each ring buffer (16M); larger loses less in a flood"),
    Option("max_entries", ("--max-entries",), "N", converters.map_entries,
           "Size of each hash whose size the C does not state"),
    Option("per_cpu", ("--per-cpu",), "", converters.flag, "Keep per-CPU values apart, unsummed"),
    Option("offsets", ("--offsets",), "", converters.flag, "Show offsets in stack frames"),
    Option("types", ("--type",), "COLUMN=KIND", converters.pairs,
           "Read a cell's column as ipv4, errno, syscall, duration, ... (may be repeated)",
           repeat=True),
    Option("exclude_self", ("--exclude-self",), "", converters.flag,
           "Leave this process itself out"),
    Option("record", ("--record",), "FILE", converters.file_path,
           "Keep the raw data too; kernelscope.open(FILE) replays it"),
    Option("csv", ("--csv",), "PATH", converters.output_path, "Write the result as CSV", "output"),
    Option("parquet", ("--parquet",), "PATH", converters.file_path,
           "Write the result as Parquet", "output"),
    Option("json", ("--json",), "PATH", converters.output_path,
           "Write the result as JSON lines", "output"),
    Option("arrow", ("--arrow",), "PATH", converters.file_path,
           "Write the result as Arrow (Feather)", "output"),
    Option("save", ("--save",), "FILE", suffixes.files,
           "Write the kind of file that its name ends in: .csv .arrow .trace.json .pb.gz .html"
           " .folded .speedscope.json .png (may be repeated)", "output", repeat=True),
    Option("quiet", ("--quiet",), "", converters.flag, "Show no progress", "output"),
    Option("out", ("-o", "--out"), "NAME", converters.identifier,
           "Bind the result to this name too", "notebook"),
    Option("bg", ("--bg",), "", converters.flag,
           "Run in the background: gives a Run to poll, stop and read", "notebook"),
)  # fmt: skip

# The options that name files for the result.
FILES = tuple(option.name for option in OPTIONS if option.where == "output" and option.metavar)
FILTERS = ("pid", "comm", "uid", "cgroup", "tree")

_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "integer": converters.integer,
    "float": converters.number,
    "flag": converters.flag,
    "text": converters.text,
    "duration": converters.duration,
    "size": converters.size,
    "disk": converters.disk,
    "condition": call_format.condition,
}


def flag_of(parameter: Parameter) -> str:
    """Return a probe's parameter as a command line names it."""
    return "--" + parameter.name.replace("_", "-")


def offered(where: str) -> list[Option]:
    """Return the options there are in "api", "cli" or "magic"."""
    shown = {"api": {"run"}, "cli": {"run", "output"}, "magic": {"run", "output", "notebook"}}
    return [option for option in OPTIONS if option.where in shown[where]]


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
        f"{whose} has no option {name!r}", hint=suggestion(matches) or None, name=name
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
                hint=suggestion(did_you_mean(str(value), parameter.choices)) or None,
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
        return partial(hook_selection.read, kinds=parameter.hooks)
    if parameter.kind == "format":
        return partial(call_format.read, most=int(parameter.maximum or MAX_FIELDS))
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
