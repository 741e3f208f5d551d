"""The error for a name that no probe has: close matches, other tools' names, C in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kernelscope.errors import ProbeNotFoundError, did_you_mean, suggestion
from kernelscope.probe.model import Probe


def unknown_probe(
    name: str, names: Sequence[str], probes: Callable[[], Iterable[Probe]]
) -> ProbeNotFoundError:
    """Return the error, with what was probably meant.

    names: of all probes. probes: loads them; called only if the name may be another tool's.
    """
    if "{" in name:
        return ProbeNotFoundError(
            "this is C, where the name of a probe is expected",
            hint="give C as source: kernelscope.run(source=...)",
            name=name,
            matches=[],
        )
    message = f"there is no probe named {name!r}"
    like = _like(name, names, probes)
    if like is not None:
        hint = f"{like} does what {name} does."
        return ProbeNotFoundError(message, hint=hint, name=name, matches=[like])
    if name.endswith(".bt"):
        hint = "a bpftrace script runs in a notebook cell that starts with %%bpftrace"
        return ProbeNotFoundError(message, hint=hint, name=name, matches=[])
    matches = did_you_mean(name, names)
    hint = suggestion(matches) or "%ebpf, or kernelscope list, shows the probes."
    return ProbeNotFoundError(message, hint=hint, name=name, matches=matches)


def _like(tool: str, names: Sequence[str], probes: Callable[[], Iterable[Probe]]) -> str | None:
    """Return the probe that does what a tool of bcc, bpftrace or another collection does."""
    bare = tool.lower().removesuffix(".bt").removesuffix("-bpfcc")
    if bare in names:
        return bare
    return next((probe.name for probe in probes() if bare in probe.tools), None)
