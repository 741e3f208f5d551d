"""The options of several probes in one run: those for all of them, and those for one.

Common options are for all. A probe's own option is "--PROBE.OPTION", or "--OPTION" where no other
of the probes has one of that name. In Python, a mapping named like the probe has its own options.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kernelscope.errors import ParameterError, did_you_mean
from kernelscope.probe.model import Probe
from kernelscope.tracing import options

# Options about one table or one program: given for one probe, by its name.
ONE_BY_ONE = ("table",)
_NOT_FOR_GROUPS = ("attach", "types")


def distinct(probes: Sequence[Probe]) -> list[Probe]:
    """Return the probes of a group. Raises ParameterError for none, and for one named twice."""
    if not probes:
        raise ParameterError("which probes? The list is empty", name="probe")
    for number, probe in enumerate(probes):
        if probe in probes[:number]:
            raise ParameterError(
                f"{probe.name} is named twice",
                hint="name each probe once",
                name="probe",
                value=probe.name,
            )
    return list(probes)


def owners(name: str, probes: Iterable[Probe]) -> list[str]:
    """Return the names of the probes that have a parameter of that name."""
    return [probe.name for probe in probes if name in _own_names(probe)]


def _own_names(probe: Probe) -> list[str]:
    return [parameter.name for parameter in probe.parameters]


def shared_out(
    given: Mapping[str, Any], probes: Sequence[Probe], *, where: str = "api"
) -> dict[str, dict[str, Any]]:
    """Return each probe's options by its name. Raises ParameterError."""
    shares: dict[str, dict[str, Any]] = {probe.name: {} for probe in probes}
    common = [option.name for option in options.offered(where)]
    for name, value in _flattened(given, shares).items():
        probe, dot, own = name.partition(".")
        if dot:
            shares[_known(probe, shares)][own] = value
        elif name in (*ONE_BY_ONE, *_NOT_FOR_GROUPS):
            raise _not_for_all(name, probes, where)
        elif name in common:
            for share in shares.values():
                share.setdefault(name, value)
        else:
            shares[_owner(name, probes, common, where)][name] = value
    return shares


def _flattened(given: Mapping[str, Any], probes: Iterable[str]) -> dict[str, Any]:
    """Return the options with mappings flattened; those for one probe come first."""
    flat: dict[str, Any] = {}
    for name, value in given.items():
        if name in probes and isinstance(value, Mapping):
            flat |= {f"{name}.{own}": inner for own, inner in value.items()}
        elif value is not None:
            flat[name] = value
    return dict(sorted(flat.items(), key=lambda item: "." not in item[0]))


def _known(probe: str, shares: Mapping[str, Any]) -> str:
    if probe in shares:
        return probe
    matches = did_you_mean(probe, list(shares))
    hint = f"Did you mean {matches[0]}?" if matches else f"There are: {', '.join(shares)}"
    raise ParameterError(f"{probe} is not one of the probes of this run", hint=hint, name=probe)


def _not_for_all(name: str, probes: Sequence[Probe], where: str) -> ParameterError:
    label = name if where == "api" else f"--{name}"
    if name in ONE_BY_ONE:
        hint = f"name the probe: {_dotted(name, [probe.name for probe in probes], where)}"
    else:
        hint = "it is for custom C, which runs alone"
    return ParameterError(f"{label} cannot be combined with several probes", hint=hint, name=name)


def _owner(name: str, probes: Sequence[Probe], common: Sequence[str], where: str) -> str:
    having = owners(name, probes)
    if len(having) == 1:
        return having[0]
    label = name if where == "api" else f"--{name.replace('_', '-')}"
    if having:
        raise ParameterError(
            f"{label} is an option of {' and '.join(having)}",
            hint=f"name the probe: {_dotted(name, having, where)}",
            name=name,
        )
    known = [own for probe in probes for own in _own_names(probe)]
    matches = did_you_mean(name, [*known, *common])
    names = " nor ".join(probe.name for probe in probes)
    hint = f"Did you mean {' or '.join(matches)}?" if matches else None
    raise ParameterError(f"neither {names} has an option {label}", hint=hint, name=name)


def _dotted(name: str, probes: Sequence[str], where: str) -> str:
    if where == "api":
        return ", ".join(f'{probe}={{"{name}": ...}}' for probe in probes)
    return ", ".join(f"--{probe}.{name.replace('_', '-')}" for probe in probes)
