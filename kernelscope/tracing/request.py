"""From a probe or a cell's C, with its options, to the Program that the agent runs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kernelscope.errors import (
    AgentRefusedError,
    ParameterError,
    ProbeSpecError,
    RecordingError,
    TargetError,
)
from kernelscope.probe import call_format, catalogue, hook_selection, resolve
from kernelscope.probe.column_kinds import COLUMN_KINDS
from kernelscope.probe.loader import tables_from_json
from kernelscope.probe.model import Parameter, Probe, TableSpec
from kernelscope.protocol.program import MAX_SOURCE, Filters, Hook, Program
from kernelscope.tracing import options

CELL_DURATION_S = 10.0
_USER_HOOKS = ("uprobe:", "uretprobe:", "usdt:")


@dataclass(frozen=True)
class Request:
    """One run as it was asked for: the program, and how its answer is to be read.

    probe: its name, None for C of one's own. parameters: the probe's own, in seconds and bytes.
    duration_s: math.inf until stopped. max_rows: rows kept of each table, None for what fits.
    max_bytes: what the raw data may take instead, None for a quarter of the memory.
    sharing: how many runs share that quarter.
    types: column -> kind, for a cell's own tables.
    """

    program: Program
    probe: str | None = None
    tables: tuple[TableSpec, ...] = ()
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    duration_s: float = CELL_DURATION_S
    max_rows: int | None = None
    max_bytes: int | None = None
    sharing: int = 1
    offsets: bool = False
    types: Mapping[str, str] = dataclasses.field(default_factory=dict)
    table: str | None = None
    record: Path | None = None

    @property
    def name(self) -> str:
        """The probe's name, or "cell" or the file's."""
        return self.program.name

    def to_json(self) -> dict[str, Any]:
        """Return all that reading a recording of the run needs, as plain JSON values."""
        return {
            "program": self.program.to_json(),
            "probe": self.probe,
            "tables": [dataclasses.asdict(table) for table in self.tables],
            "parameters": dict(self.parameters),
            "duration_s": None if math.isinf(self.duration_s) else self.duration_s,
            "offsets": self.offsets,
            "types": dict(self.types),
            "table": self.table,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], path: Path) -> Request:
        """Rebuild the request of a recording. Raises RecordingError where it is not one."""
        try:
            return cls(
                program=Program.from_json(data["program"]),
                probe=data["probe"],
                tables=tables_from_json(data["tables"], path),
                parameters=data["parameters"],
                duration_s=data["duration_s"] or math.inf,
                offsets=data["offsets"],
                types=data["types"],
                table=data["table"],
            )
        except (KeyError, TypeError, AgentRefusedError, ProbeSpecError) as error:
            raise RecordingError(
                f"{path}: its header is damaged: {error}", path=str(path), offset=0
            ) from error

    def digest(self) -> str:
        """Return 16 hexadecimal digits that change with the program's text and hooks."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        program = self.program
        parts: list[Any] = [
            program.prelude,
            program.source,
            dict(program.defines),
            [dataclasses.asdict(hook) for hook in program.hooks],
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def from_probe(probe: Probe, given: Mapping[str, Any], *, where: str = "api") -> Request:
    """Build the request for a probe. Raises ParameterError, TargetError."""
    found, own = options.checked(given, probe, where=where)
    for name in ("attach", "types"):
        if found.get(name):
            raise ParameterError(
                f"{probe.name} has its own hooks and columns; {name} is for C of your own",
                name=name,
            )
    if found.get("table") and found["table"] not in [table.name for table in probe.tables]:
        raise unknown_table(found["table"], [table.name for table in probe.tables])
    parameters = _with_defaults(probe, own)
    hooks = resolve.hooks(probe, parameters)
    tables = resolve.tables(probe, parameters)
    params, defines = _passed(probe, parameters)
    filters, filter_params = _filters(probe.filters, probe.name, found)
    _require_task(probe, found)
    program = _program(probe.name, probe.source, found, probe.duration_s)
    program = dataclasses.replace(
        program,
        hooks=hooks,
        params={**params, **filter_params},
        defines={**defines, **program.defines},
        filters=filters,
        tables=tuple(table.map for table in tables),
        target_pid=_target(found, hooks) if probe.filters == "task" else None,
        enums=tuple(sorted(_enums(probe))),
    )
    request = _request(program, found, probe.duration_s)
    return dataclasses.replace(
        request,
        probe=probe.name,
        tables=tables,
        parameters=_shown(probe, given, parameters),
    )


def from_source(
    source: str, given: Mapping[str, Any], *, name: str = "cell", where: str = "api"
) -> Request:
    """Build the request for a C text of one's own. Raises ParameterError, TargetError."""
    if not source.strip():
        raise ParameterError(
            "there is no C to run", hint="write BPF C below the %%ebpf line", name="source"
        )
    if len(source.encode("utf-8", "surrogatepass")) > MAX_SOURCE:
        raise ParameterError(f"the C is longer than {MAX_SOURCE >> 10} KiB", name="source")
    if "\0" in source:
        raise ParameterError(
            "the C holds a NUL character", hint="source= is text, no bytes of a file", name="source"
        )
    found, _ = options.checked(given, where=where)
    hooks = tuple(Hook(function, (spec,)) for spec, function in found.get("attach", ()))
    for _, kind in found.get("types", ()):
        if kind not in COLUMN_KINDS:
            raise ParameterError(
                f"there is no kind of column {kind!r}",
                hint=f"The kinds are: {', '.join(COLUMN_KINDS)}",
                name="types",
                value=kind,
            )
    filters, _ = _filters("task", name, found)
    program = _program(name, source, found, CELL_DURATION_S)
    program = dataclasses.replace(
        program, hooks=hooks, filters=filters, target_pid=_target(found, hooks)
    )
    return _request(program, found, CELL_DURATION_S)


def program_name(path: str) -> str:
    """Return a file's name as a program may be named."""
    return re.sub(r"\W", "_", Path(path).stem, flags=re.ASCII).lstrip("0123456789") or "program"


def unknown_table(name: str, there: list[str]) -> ParameterError:
    """Return the error for a table that the program does not have."""
    return ParameterError(
        f"there is no table {name!r}",
        hint=f"There are: {', '.join(there) or 'none'}",
        name="table",
        value=name,
    )


def _enums(probe: Probe) -> set[str]:
    return {column.enum for table in probe.tables for column in table.columns if column.enum}


def _request(program: Program, found: Mapping[str, Any], default_s: float) -> Request:
    return Request(
        program=program,
        duration_s=found.get("duration", default_s),
        max_rows=found.get("max_rows"),
        offsets=found.get("offsets", False),
        types=dict(found.get("types", ())),
        table=found.get("table"),
        record=found.get("record"),
    )


def _program(name: str, source: str, found: Mapping[str, Any], default_s: float) -> Program:
    """Build what a probe's program and a cell's have in common."""
    seconds = found.get("duration", default_s)
    return Program(
        name=name,
        source=source,
        prelude=catalogue.prelude(),
        defines=found.get("defines", {}),
        exclude=(os.getpid(),) if found.get("exclude_self") else (),
        duration_ns=0 if math.isinf(seconds) else max(1, round(seconds * 1e9)),
        interval_ns=round(found.get("interval", 0) * 1e9),
        ring_bytes=found.get("ring", Program.ring_bytes),
        max_entries=found.get("max_entries"),
        per_cpu=found.get("per_cpu", False),
    )


def _with_defaults(probe: Probe, own: Mapping[str, Any]) -> dict[str, Any]:
    parameters = {}
    for parameter in probe.parameters:
        value = own.get(parameter.name)
        if value is None and parameter.default is not None:
            value = options.parameter_value(parameter, parameter.default)
        if value is None and parameter.example:
            flag = options.flag_of(parameter)
            raise ParameterError(
                f"{probe.name} needs {flag}",
                hint=f"for example {flag} {parameter.example}. {parameter.help}",
                name=parameter.name,
            )
        if value is not None:
            parameters[parameter.name] = value
    return parameters


def _shown(probe: Probe, given: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters for the receipt: a disk by its name, what was taken apart as given."""
    disks = [p.name for p in probe.parameters if p.kind == "disk" and given.get(p.name) is not None]
    parts = (hook_selection.Hooks, call_format.Format, call_format.Condition)
    shown = {name: str(v) if isinstance(v, parts) else v for name, v in parameters.items()}
    return {**shown, **{name: str(given[name]) for name in disks}}


def _passed(probe: Probe, parameters: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, str]]:
    """Return the numbers patched into the bytecode and the macros compiled into it."""
    params: dict[str, int] = {}
    defines: dict[str, str] = {}
    for parameter in probe.parameters:
        value = parameters.get(parameter.name)
        if parameter.kind == "format" and value is not None:
            params.update(value.params(parameter.name))
        elif parameter.kind == "condition" and value is not None:
            params.update(_condition(parameter, value, parameters))
        elif parameter.kind in ("hook", "format", "condition"):
            continue
        elif parameter.passed == "param" and parameter.kind == "text":
            params.update(_words(parameter.name, value or ""))
        elif parameter.passed == "param":
            params[parameter.name] = _as_integer(parameter, value)
        elif parameter.passed == "define" and value is not None:
            defines[parameter.name.upper()] = _as_macro(parameter, value)
    return params, defines


def _condition(
    parameter: Parameter, value: call_format.Condition, parameters: Mapping[str, Any]
) -> dict[str, int]:
    wanted = [given for given in parameters.values() if isinstance(given, call_format.Format)]
    try:
        return value.params(parameter.name, wanted[0] if wanted else None)
    except ValueError as error:
        raise ParameterError(
            f"{options.flag_of(parameter)} {value}: {error}", name=parameter.name, value=str(value)
        ) from None


def _as_integer(parameter: Parameter, value: Any) -> int:
    """Return what C gets: 0 where not given, nanoseconds, a choice's place in the list from 0."""
    if value is None:
        return 0
    if parameter.kind == "choice":
        return parameter.choices.index(value)
    return round(value * 1e9) if parameter.kind == "duration" else int(value)


def _as_macro(parameter: Parameter, value: Any) -> str:
    if parameter.kind == "text":
        return json.dumps(value)
    return str(value) if parameter.kind == "float" else str(_as_integer(parameter, value))


def _words(name: str, text: str) -> dict[str, int]:
    """Return text of at most 16 bytes as two numbers, NAME_0 and NAME_1, as C compares them."""
    raw = text.encode()[:16].ljust(16, b"\0")
    return {f"{name}_{i}": int.from_bytes(raw[8 * i : 8 * i + 8], "little") for i in (0, 1)}


def _filters(kind: str, name: str, found: Mapping[str, Any]) -> tuple[Filters, dict[str, int]]:
    """Return the filters as the agent applies them, or as the probe's own C tests them."""
    pid, comm, uid = found.get("pid"), found.get("comm"), found.get("uid")
    cgroup = found.get("cgroup")
    given = [label for label in options.FILTERS if found.get(label) is not None]
    if kind == "none" and given:
        raise ParameterError(
            f"{name} cannot tell processes apart, so --{given[0]} does not work with it",
            name=given[0],
        )
    if pid is not None:
        _require_process(pid)
    tree = found.get("tree")
    if tree is not None:
        _require_process(tree)
    if kind == "task":
        group = (None, None) if cgroup is None else (cgroup.id, cgroup.level)
        return Filters(pid, comm, uid, group[0], group[1], tree), {}
    params = {} if pid is None else {"filter_pid": pid}
    if comm is not None:
        params |= _words("filter_comm", comm)
    if uid is not None:
        params["filter_uid"] = uid + 1  # 0 means unset, and root is user 0
    if cgroup is not None:
        params["filter_cgroup"] = cgroup.id
    return Filters(tree=tree, tree_in_code=None if tree is None else True), params


def _require_task(probe: Probe, found: Mapping[str, Any]) -> None:
    """Raise ParameterError where a filter needs to know more of the task than the probe does."""
    for name, what in (("cgroup", "cgroups"), ("tree", "a process's descendants")):
        if found.get(name) and not knows_tasks(probe):
            raise ParameterError(
                f"{probe.name} cannot tell {what} apart, so --{name} does not work with it",
                name=name,
            )


def of_cell(asked: Request, tid: int) -> Request:
    """Return the request, held to what a thread does between the names of a cell's.

    See agent/attach/task_tree.py. A probe that has no task stays as it is. Raises ParameterError.
    """
    probe = catalogue.find(asked.probe) if asked.probe else None
    if probe is not None and probe.filters == "none":
        return asked
    if probe is not None and not knows_tasks(probe):
        raise ParameterError(
            f"{probe.name} cannot tell a cell's threads apart from others",
            hint=f"%ebpf {probe.name} --bg runs it beside the cell",
            name="probe",
        )
    in_code = True if probe is not None and probe.filters == "code" else None
    filters = dataclasses.replace(
        asked.program.filters, tree=tid, tree_cell=True, tree_in_code=in_code
    )
    return dataclasses.replace(asked, program=dataclasses.replace(asked.program, filters=filters))


def knows_tasks(probe: Probe) -> bool:
    """Return whether a probe can be held to a cgroup or a tree: its C must have the task to ask."""
    if probe.filters != "code":
        return probe.filters == "task"
    by_task = {"KS_KEEP_TASK"}
    for part in re.split(r"\n\n(?=\S)", catalogue.prelude()):
        if by_task & set(re.findall(r"\w+", part)):
            by_task |= set(re.findall(r"\b(KS_\w+|ks_\w+)\((?=[a-z ,]*\)|struct)", part))
    words = set(re.findall(r"\w+", probe.source))
    return bool(by_task & words) and "ks_keep" not in words


def _require_process(pid: int) -> None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        raise TargetError(
            f"there is no process {pid}", hint="it may have ended; look with ps", target=str(pid)
        ) from None
    except PermissionError:
        pass  # it is there, and another user's


def _target(found: Mapping[str, Any], hooks: tuple[Hook, ...]) -> int | None:
    """Return the process whose memory user probes attach to, where --pid names one."""
    user = any(spec.startswith(_USER_HOOKS) for hook in hooks for spec in hook.any_of)
    return found.get("pid") if user else None
