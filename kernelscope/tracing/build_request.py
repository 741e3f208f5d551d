"""Build the request of a run: from a probe or from C, with the options, to the agent's Program."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kernelscope.errors import ParameterError
from kernelscope.probe import call_format, catalogue, hook_selection, resolve
from kernelscope.probe.column_kinds import COLUMN_KINDS
from kernelscope.probe.model import Probe
from kernelscope.probe.parameters import with_defaults
from kernelscope.protocol.program import MAX_SOURCE, Hook, Program
from kernelscope.tables.results import with_name
from kernelscope.tracing import filters
from kernelscope.tracing.code_values import values_in_code
from kernelscope.tracing.options import Options
from kernelscope.tracing.plan import ALONE, Placement
from kernelscope.tracing.request import CELL_DURATION_S, Request, unknown_table


def of_probe(probe: Probe, options: Options, placement: Placement = ALONE) -> Request:
    """Build the request for a probe. Raises ParameterError, TargetError."""
    given = options.run
    for name in ("attach", "types"):
        if given.get(name):
            raise ParameterError(
                f"{probe.name} has its own hooks and columns; {name} is for custom C", name=name
            )
    parameters = with_defaults(probe, options.own)
    hooks = resolve.hooks(probe, parameters)
    tables = resolve.tables(probe, parameters)
    if given.get("table") and given["table"] not in [table.name for table in probe.tables]:
        raise unknown_table(given["table"], [table.name for table in probe.tables])
    params, defines = values_in_code(probe, parameters)
    tested, filter_params = filters.of_probe(probe, given, placement.cell_thread)
    program = Program(
        **_program(probe.name, probe.source, given, probe.duration_s, placement),
        hooks=hooks,
        params={**params, **filter_params},
        defines={**defines, **given.get("defines", {})},
        filters=tested,
        tables=tuple(table.map for table in tables),
        target_pid=filters.target(given, hooks) if probe.filters == "task" else None,
        enums=tuple(sorted(_enums(probe))),
    )
    return Request(
        program=program,
        probe=probe.name,
        tables=tables,
        parameters=_shown(options, parameters),
        plots=probe.plots,
        **_reading(given, probe.duration_s, placement, probe.name),
    )


def of_source(
    source: str, options: Options, *, name: str = "cell", placement: Placement = ALONE
) -> Request:
    """Build the request for custom C. Raises ParameterError, TargetError."""
    given = options.run
    _check_source(source)
    hooks = tuple(Hook(function, (spec,)) for spec, function in given.get("attach", ()))
    for _, kind in given.get("types", ()):
        if kind not in COLUMN_KINDS:
            raise ParameterError(
                f"there is no kind of column {kind!r}",
                hint=f"The kinds are: {', '.join(COLUMN_KINDS)}",
                name="types",
                value=kind,
            )
    program = Program(
        **_program(name, source, given, CELL_DURATION_S, placement),
        hooks=hooks,
        defines=given.get("defines", {}),
        kernel_names=_kernel_names(given.get("types", ())),
        filters=filters.of_source(given),
        target_pid=filters.target(given, hooks),
    )
    return Request(program=program, **_reading(given, CELL_DURATION_S, placement, name))


def program_name(path: str) -> str:
    """Return a file's name as a program may be named."""
    return re.sub(r"\W", "_", Path(path).stem, flags=re.ASCII).lstrip("0123456789") or "program"


def _check_source(source: str) -> None:
    if not source.strip():
        raise ParameterError(
            "there is no C to run", hint="write BPF C below the %%ebpf line", name="source"
        )
    if len(source.encode("utf-8", "surrogatepass")) > MAX_SOURCE:
        raise ParameterError(f"the C is longer than {MAX_SOURCE >> 10} KiB", name="source")
    if "\0" in source:
        raise ParameterError(
            "the C contains a NUL character",
            hint="source= takes text, not the bytes of a file",
            name="source",
        )
    broken = re.search("[\ud800-\udfff]", source)
    if broken is not None:
        line = source.count("\n", 0, broken.start()) + 1
        raise ParameterError(
            f"line {line} of the C contains bytes that are not UTF-8",
            hint="save it as UTF-8, or remove them",
            name="source",
        )


def _enums(probe: Probe) -> set[str]:
    return {column.enum for table in probe.tables for column in table.columns if column.enum}


def _kernel_names(types: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the members whose addresses the agent is to name: the last parts of columns."""
    members = [name.rpartition(".")[2] for name, kind in types if kind == "ksym"]
    return tuple(name for name in members if name.isidentifier())


def _reading(
    given: Mapping[str, Any], default_s: float, placement: Placement, name: str
) -> dict[str, Any]:
    """Return the part of a request that says how the run's data is kept and read."""
    record = given.get("record")
    if record is not None and placement.group is not None:
        record = with_name(record, name)
    return {
        "duration_s": given.get("duration", default_s),
        "max_rows": given.get("max_rows"),
        "max_bytes": None if given.get("max_rows") else placement.max_bytes,
        "sharing": placement.group or 1,
        "offsets": given.get("offsets", False),
        "types": dict(given.get("types", ())),
        "table": given.get("table"),
        "record": record,
    }


def _program(
    name: str, source: str, given: Mapping[str, Any], default_s: float, placement: Placement
) -> dict[str, Any]:
    """Return the part of a Program that a probe and custom C have in common."""
    seconds = given.get("duration", default_s)
    return {
        "name": name,
        "source": source,
        "prelude": catalogue.prelude(),
        "exclude": (os.getpid(),) if given.get("exclude_self") else (),
        "duration_ns": 0 if math.isinf(seconds) else max(1, round(seconds * 1e9)),
        "interval_ns": round(given.get("interval", 0) * 1e9),
        "ring_bytes": given.get("ring", Program.ring_bytes),
        "max_entries": given.get("max_entries"),
        "per_cpu": given.get("per_cpu", False),
        "hold": placement.group is not None,
    }


def _shown(options: Options, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters for the receipt; those that were parsed into parts as they were given.

    A disk is shown by the name it was given.
    """
    parts = (hook_selection.Hooks, call_format.Format, call_format.Condition)
    shown = {name: str(v) if isinstance(v, parts) else v for name, v in parameters.items()}
    return {**shown, **options.disks}
