"""The options on a %%bpftrace line: those of %ebpf that bpftrace has a use for."""

from __future__ import annotations

from collections.abc import Sequence

from kernelscope.errors import ParameterError
from kernelscope.probe import catalogue
from kernelscope.tracing import options
from kernelscope.ui import command_line

_OPTIONS = ("duration", "pid", "table", "out", "quiet", *options.FILES)


def read(words: Sequence[str]) -> options.Options:
    """Return the line's options, converted. Raises ParameterError for all others."""
    parsed = command_line.parse(words, catalogue.find, prog="%%bpftrace")
    if parsed.targets:
        raise ParameterError(
            f"unexpected {parsed.targets[0]!r}",
            hint="the script goes into the cell, below the %%bpftrace line",
            name=parsed.targets[0],
        )
    for name in parsed.given:
        if name not in _OPTIONS:
            raise ParameterError(
                f"%%bpftrace has no option --{name.replace('_', '-')}",
                hint=f"it takes {', '.join(_OPTIONS)}; a /filter/ goes into the script",
                name=name,
            )
    return options.split(parsed.given)
