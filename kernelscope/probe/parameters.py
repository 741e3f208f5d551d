"""The values of a probe's parameters: converted, within their range, and with their defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from kernelscope import converters
from kernelscope.errors import ParameterError, did_you_mean, suggestion
from kernelscope.probe import call_format, hook_selection
from kernelscope.probe.model import Parameter, Probe
from kernelscope.protocol.program import MAX_FIELDS

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
    """Return a parameter as a command line names it: "--min-latency"."""
    return "--" + parameter.name.replace("_", "-")


def convert(label: str, converter: Callable[[Any], Any], value: Any) -> Any:
    """Return a converted value. Raises ParameterError with the label and what is wrong."""
    try:
        return converter(value)
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
    converted = convert(label, _converter(parameter), value)
    if parameter.kind in ("integer", "float", "duration", "size"):
        _check_range(parameter, label, value, converted)
    return converted


def with_defaults(probe: Probe, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given values, which are converted already, and the defaults of the others.

    Raises ParameterError where one that a run needs is not given.
    """
    values = {}
    for parameter in probe.parameters:
        value = given.get(parameter.name)
        if value is None and parameter.default is not None:
            value = parameter_value(parameter, parameter.default)
        if value is None and parameter.example:
            flag = flag_of(parameter)
            raise ParameterError(
                f"{probe.name} needs {flag}",
                hint=f"for example {flag} {parameter.example}. {parameter.help}",
                name=parameter.name,
            )
        if value is not None:
            values[parameter.name] = value
    return values


def examples(probe: Probe) -> dict[str, Any]:
    """Return the defaults, and the examples of parameters that a run must be given."""
    given = {
        parameter.name: parameter_value(parameter, parameter.example)
        for parameter in probe.parameters
        if parameter.example
    }
    return with_defaults(probe, given)


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
