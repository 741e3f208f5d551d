"""The options of a run: one table that serves %%ebpf, %ebpf, the command line and the Python API.

`ui.command_line` reads lines, `split` converts the values that any of the four was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kernelscope import converters
from kernelscope.errors import ParameterError, did_you_mean, suggestion
from kernelscope.io import suffixes
from kernelscope.probe.model import Probe
from kernelscope.probe.parameters import convert, parameter_value
from kernelscope.tracing import cgroups


@dataclass(frozen=True)
class Option:
    """One option: `name` in Python, `flags` on a command line; no metavar means a switch.

    where: "run" (everywhere), "output" (not in the Python API), "notebook" (only in magics).
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
    Option("pid", ("--pid",), "PID", converters.process_id, "Trace only this process"),
    Option("comm", ("--comm",), "NAME", converters.comm, "Trace only processes of this name"),
    Option("uid", ("--uid",), "USER", converters.user_id,
           "Trace only this user (name or number)"),
    Option("cgroup", ("--cgroup",), "CGROUP", cgroups.find,
           "Trace only this cgroup and those below it: a path, an id or a container's id"),
    Option("tree", ("--tree",), "PID", converters.process_id,
           "Trace only this process and every process that it starts"),
    Option("attach", ("--attach",), "HOOK=FUNCTION", converters.attachments,
           'Attach a C function: "uprobe:c:malloc=on_malloc" (may be repeated)', repeat=True),
    Option("defines", ("-D",), "NAME=VALUE", converters.macros,
           "Define a macro for the C (may be repeated)", repeat=True),
    Option("table", ("--table",), "NAME", converters.text, "Return only this table"),
    Option("max_rows", ("--max-rows",), "N", converters.row_limit,
           "Keep the latest N rows of each table: 10k, 1M (default: a quarter of the memory)"),
    Option("interval", ("--interval",), "TIME", converters.read_interval,
           "Also read the maps this often while it runs"),
    Option("ring", ("--ring",), "SIZE", converters.ring_size,
           "Size of each ring buffer (16M); a larger one loses less in a burst"),
    Option("max_entries", ("--max-entries",), "N", converters.map_entries,
           "Size of each hash whose size the C does not give"),
    Option("per_cpu", ("--per-cpu",), "", converters.flag,
           "Keep per-CPU values apart instead of adding them up"),
    Option("offsets", ("--offsets",), "", converters.flag, "Show offsets in stack frames"),
    Option("types", ("--type",), "COLUMN=KIND", converters.pairs,
           "Decode a column of custom C as ipv4, errno, syscall, duration, ... (may be repeated)",
           repeat=True),
    Option("exclude_self", ("--exclude-self",), "", converters.flag,
           "Leave out this process itself"),
    Option("record", ("--record",), "FILE", converters.file_path,
           "Also write the raw data to a file; kernelscope.open(FILE) replays it"),
    Option("csv", ("--csv",), "PATH", converters.output_path, "Write the result as CSV", "output"),
    Option("parquet", ("--parquet",), "PATH", converters.file_path,
           "Write the result as Parquet", "output"),
    Option("json", ("--json",), "PATH", converters.output_path,
           "Write the result as JSON lines", "output"),
    Option("arrow", ("--arrow",), "PATH", converters.file_path,
           "Write the result as Arrow (Feather)", "output"),
    Option("save", ("--save",), "FILE", suffixes.files,
           "Write a file; its extension picks the format: .csv .arrow .trace.json .pb.gz .html"
           " .folded .speedscope.json .png (may be repeated)", "output", repeat=True),
    Option("quiet", ("--quiet",), "", converters.flag, "Show no progress", "output"),
    Option("out", ("-o", "--out"), "NAME", converters.identifier,
           "Bind the result to this variable too", "notebook"),
    Option("bg", ("--bg",), "", converters.flag,
           "Run in the background: returns a Run to poll, stop and read", "notebook"),
)  # fmt: skip

# The options that name files for the result.
FILES = tuple(option.name for option in OPTIONS if option.where == "output" and option.metavar)
FILTERS = ("pid", "comm", "uid", "cgroup", "tree")


def offered(where: str) -> list[Option]:
    """Return the options of "api", "cli" or "magic"."""
    shown = {"api": {"run"}, "cli": {"run", "output"}, "magic": {"run", "output", "notebook"}}
    return [option for option in OPTIONS if option.where in shown[where]]


@dataclass(frozen=True)
class Options:
    """Converted options, split by what they are for.

    run: how to trace. output: what to do with the result. own: the probe's parameters that were
    given. disks: those of kind "disk" by the names that were given, for the receipt.
    """

    run: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)
    disks: Mapping[str, str] = field(default_factory=dict)


def split(given: Mapping[str, Any], probe: Probe | None = None, *, where: str = "magic") -> Options:
    """Convert the options that were given and split them. A value of None counts as not given.

    Raises ParameterError with the option's name.
    """
    options = {option.name: option for option in offered(where)}
    parameters = {p.name: p for p in probe.parameters} if probe else {}
    found: dict[str, dict[str, Any]] = {"run": {}, "output": {}, "own": {}, "disks": {}}
    for name, value in given.items():
        if value is None:
            continue
        if name in parameters:
            found["own"][name] = parameter_value(parameters[name], value)
            if parameters[name].kind == "disk":
                found["disks"][name] = str(value)
        elif name in options:
            option = options[name]
            label = option.name if where == "api" else option.flags[-1]
            part = found["run" if option.where == "run" else "output"]
            part[name] = convert(label, option.convert, value)
        else:
            raise _unknown(name, [*parameters, *options], probe)
    return Options(**found)


def split_output(given: Mapping[str, Any], *, where: str = "magic") -> Mapping[str, Any]:
    """Return those of the options, converted, that describe what to do with the result."""
    names = {option.name for option in offered(where) if option.where != "run"}
    return split({name: given[name] for name in given if name in names}, where=where).output


def _unknown(name: str, known: Iterable[str], probe: Probe | None) -> ParameterError:
    whose = probe.name if probe else "custom C"
    matches = did_you_mean(name, list(known))
    return ParameterError(
        f"{whose} has no option {name!r}", hint=suggestion(matches) or None, name=name
    )
