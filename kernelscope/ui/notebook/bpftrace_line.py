"""The options on a %%bpftrace line: those of %ebpf that bpftrace has a use for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kernelscope.errors import ParameterError
from kernelscope.probe import catalogue
from kernelscope.tracing import options
from kernelscope.ui import parser

_OPTIONS = ("duration", "pid", "table", "out", "quiet", *options.FILES)


def read(words: Sequence[str]) -> dict[str, Any]:
    """Return the line's options by name, converted. Raises ParameterError for all others."""
    parsed = parser.parse(words, catalogue.find, prog="%%bpftrace")
    if parsed.target is not None:
        raise ParameterError(
            f"unexpected {parsed.target!r}",
            hint="the script goes into the cell, below the %%bpftrace line",
            name=parsed.target,
        )
    for name in parsed.given:
        if name not in _OPTIONS:
            raise ParameterError(
                f"%%bpftrace has no option --{name.replace('_', '-')}",
                hint=f"it takes {', '.join(_OPTIONS)}; a /filter/ goes into the script",
                name=name,
            )
    return options.checked(parsed.given)[0]
