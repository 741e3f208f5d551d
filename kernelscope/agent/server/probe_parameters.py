"""Checks the numbers and macros of an installed probe against its description.

The client checks them too, but the agent must not rely on that: it is the client's user that the
policy restricts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kernelscope.protocol.program import Program

_MACRO = re.compile(r'-?[0-9]{1,20}(\.[0-9]{1,20})?\Z|"[^"\\]*"\Z')
# What a client passes for --pid and the like where the probe's own C tests them.
_FILTERS = {"filter_pid", "filter_uid", "filter_comm_0", "filter_comm_1", "filter_cgroup"}
_SCALES = {"duration": 10**9}  # the C gets nanoseconds, the description has seconds


def wrong(program: Program, description: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the field and the reason of the first value that the probe does not take."""
    parameters = {str(p["name"]): p for p in description.get("parameter", ())}
    for name, value in program.params.items():
        reason = _reason(name, value, parameters)
        if reason is not None:
            return f"params.{name}", reason
    macros = {n.upper() for n, p in parameters.items() if p.get("passed") == "define"}
    for name, text in program.defines.items():
        if name not in macros or not _MACRO.match(text):
            return f"defines.{name}", f"the macro {name!r} is not the probe's"
    return None


def disclosing(program: Program, description: Mapping[str, Any]) -> list[str]:
    """Return the parameters that are set and make the run read contents."""
    parameters = description.get("parameter", ())
    reading = [p["name"] for p in parameters if p.get("discloses") == "contents"]
    return [name for name in reading if program.params.get(name)]


def _reason(name: str, value: int, parameters: Mapping[str, Mapping[str, Any]]) -> str | None:
    if name in _FILTERS:
        return None
    word = re.match(r"(\w+)_[01]\Z", name)
    if word and parameters.get(word[1], {}).get("kind") == "text":
        return None
    parameter = parameters.get(name)
    if parameter is None or parameter.get("passed", "param") != "param":
        return f"it has no parameter {name!r}"
    if not value and "default" not in parameter:
        return None  # not set
    scale = _SCALES.get(str(parameter.get("kind")), 1)
    if not in_range(value / scale, parameter):
        return f"{name} is {value}, which is outside its range"
    return None


def in_range(value: float, parameter: Mapping[str, Any]) -> bool:
    """Return whether a value, in the parameter's own unit, is within its range."""
    low, high = _range(parameter)
    return (low is None or value >= low) and (high is None or value <= high)


def _range(parameter: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Return the least and the largest value, None for no limit."""
    kind = parameter.get("kind")
    if kind == "flag":
        return 0, 1
    if kind == "choice":
        return 0, len(parameter.get("choices", ())) - 1
    return parameter.get("minimum"), parameter.get("maximum")
