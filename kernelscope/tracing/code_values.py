"""A probe's parameters as its C gets them: numbers patched into the bytecode, and macros."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kernelscope.errors import ParameterError
from kernelscope.probe import call_format
from kernelscope.probe.model import Parameter, Probe
from kernelscope.probe.parameters import flag_of


def values_in_code(
    probe: Probe, parameters: Mapping[str, Any]
) -> tuple[dict[str, int], dict[str, str]]:
    """Return the numbers for KS_PARAM(name), and the macros. Raises ParameterError."""
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
            params.update(text_words(parameter.name, value or ""))
        elif parameter.passed == "param":
            params[parameter.name] = _as_integer(parameter, value)
        elif parameter.passed == "define" and value is not None:
            defines[parameter.name.upper()] = _as_macro(parameter, value)
    return params, defines


def text_words(name: str, text: str) -> dict[str, int]:
    """Return text of at most 16 bytes as two numbers, NAME_0 and NAME_1, as C compares them."""
    raw = text.encode()[:16].ljust(16, b"\0")
    return {f"{name}_{i}": int.from_bytes(raw[8 * i : 8 * i + 8], "little") for i in (0, 1)}


def _condition(
    parameter: Parameter, value: call_format.Condition, parameters: Mapping[str, Any]
) -> dict[str, int]:
    formats = [given for given in parameters.values() if isinstance(given, call_format.Format)]
    try:
        return value.params(parameter.name, formats[0] if formats else None)
    except ValueError as error:
        raise ParameterError(
            f"{flag_of(parameter)} {value}: {error}", name=parameter.name, value=str(value)
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
