"""What of a probe's description a run uses, with its parameters' values filled in."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from kernelscope.errors import ParameterError
from kernelscope.probe import call_format, catalogue, hook_selection
from kernelscope.probe.model import HookSpec, Probe, TableSpec
from kernelscope.probe.parameters import examples
from kernelscope.protocol.program import Hook

_CHOSEN = re.compile(r"\{(\w+)(:return)?\}\Z")


def hooks(probe: Probe, parameters: Mapping[str, Any]) -> tuple[Hook, ...]:
    """Return the hooks of a run. Raises ParameterError where a chosen one has no return."""
    wanted = [spec for spec in probe.hooks if applies(spec.when, parameters)]
    return tuple(hook for spec in wanted for hook in _hooks(spec, parameters))


def usual_hooks(probe: Probe) -> tuple[Hook, ...]:
    """Return the hooks with parameters at their defaults; those without one, at their examples."""
    return hooks(probe, examples(probe))


def _hooks(spec: HookSpec, parameters: Mapping[str, Any]) -> Iterator[Hook]:
    match = _CHOSEN.match(spec.any_of[0])
    given = parameters.get(match[1]) if match else None
    if match is None or not isinstance(given, hook_selection.Hooks):
        yield Hook(spec.function, spec.specs(parameters), spec.optional)
    elif match[2]:
        try:
            yield from given.returns(spec.function)
        except ValueError as error:
            raise ParameterError(
                f"--{match[1]} {given}: {error}", name=match[1], value=str(given)
            ) from None
    else:
        values = [value for value in parameters.values() if isinstance(value, call_format.Format)]
        yield from given.entries(spec.function, values[0].fields if values else ())


def tables(probe: Probe, parameters: Mapping[str, Any]) -> tuple[TableSpec, ...]:
    """Return the tables of a run, without the columns that mean nothing in it."""
    return tuple(
        _with_columns(table, parameters)
        for table in probe.tables
        if applies(table.when, parameters)
    )


def _with_columns(table: TableSpec, parameters: Mapping[str, Any]) -> TableSpec:
    columns = [column for column in table.columns if applies(column.when, parameters)]
    left_out = {column.name for column in table.columns} - {column.name for column in columns}
    sort = tuple(name for name in table.sort if name.lstrip("-") not in left_out)
    values = parameters.get(table.formatted)
    if isinstance(values, call_format.Format):
        columns += values.columns([column.name for column in columns])
    return dataclasses.replace(table, columns=tuple(columns), sort=sort)


def applies(when: Mapping[str, list[str]], parameters: Mapping[str, Any]) -> bool:
    """Return whether every parameter has one of its choices; a format, one of its traits."""
    return all(_has(parameters.get(name), choices) for name, choices in when.items())


def _has(value: Any, choices: list[str]) -> bool:
    if isinstance(value, call_format.Format):
        return not value.traits.isdisjoint(choices)
    return value in choices


def knows_tasks(probe: Probe) -> bool:
    """Return whether a probe can be restricted to a cgroup or a process tree.

    For that its C must have the task that an event is about.
    """
    if probe.filters != "code":
        return probe.filters == "task"
    by_task = {"KS_KEEP_TASK"}
    for part in re.split(r"\n\n(?=\S)", catalogue.prelude()):
        if by_task & set(re.findall(r"\w+", part)):
            by_task |= set(re.findall(r"\b(KS_\w+|ks_\w+)\((?=[a-z ,]*\)|struct)", part))
    words = set(re.findall(r"\w+", probe.source))
    return bool(by_task & words) and "ks_keep" not in words
