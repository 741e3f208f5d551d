"""Runs: several probes that start together, end together, and have one result."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

from kernelscope.errors import KernelScopeError
from kernelscope.tables.attrs import receipt_of
from kernelscope.tables.results import Results
from kernelscope.tracing import receipt
from kernelscope.tracing.run import Run
from kernelscope.tracing.run_handle import RunHandle
from kernelscope.tracing.stream import Stream


class Runs(Mapping[str, Run], RunHandle[Results]):
    """The runs of several probes by name; their programs were loaded before the first attached.

    A context manager that stops them at its end. Each Run can be polled and iterated by itself.
    """

    def __init__(self, runs: Mapping[str, Run]) -> None:
        self._runs = dict(runs)
        self._result: Results | None = None

    def __getitem__(self, name: str) -> Run:
        if name not in self._runs:
            raise KeyError(f"{name} (there are: {', '.join(self._runs)})")
        return self._runs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._runs)

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def streams(self) -> Sequence[Stream]:
        """The reading side of each run."""
        return [run.stream for run in self.values()]

    @property
    def title(self) -> str:
        """The names, for messages."""
        return " and ".join(self)

    @property
    def duration_s(self) -> float:
        """How long to trace; math.inf until stopped."""
        return min(run.duration_s for run in self.values())

    def begin(self) -> Self:
        """Wait until all are loaded, then attach them. If one cannot be, all are closed.

        Raises its error, with the probe's name. Ctrl-C ends them once all are attached.
        """
        try:
            self._each(Run.wait_loaded)
            for run in self.values():
                run.begin()
            self._each(Run.wait_attached)
        except BaseException:
            self.close()
            raise
        self._set_end()
        if self.interrupted:
            self.stop()
        return self

    def _each(self, wait: Callable[[Run], object]) -> None:
        for name, run in self.items():
            try:
                wait(run)
            except KernelScopeError as error:
                raise with_probe(error, name) from error.__cause__

    def _set_end(self) -> None:
        """End all at one moment: the duration after the last one was attached."""
        began = {name: run.began_ns for name, run in self.items()}
        first, last = min(began.values()), max(began.values())
        if math.isfinite(self.duration_s) and first:
            for run in self.values():
                run.end_at(last + round(self.duration_s * 1e9))
        for name, run in self.items():
            run.beside = {
                "probes": list(self),
                "began_after_ms": round((began[name] - first) / 1e6, 3),
                "skew_ms": round((last - first) / 1e6, 3),
            }

    @property
    def lost(self) -> dict[str, dict[str, int]]:
        """Lost events so far, by probe and cause; only probes that lost some."""
        return {name: run.lost for name, run in self.items() if run.lost}

    @property
    def receipt(self) -> dict[str, Any]:
        """The joint summary; each Run has its own receipt."""
        return receipt.joint({name: run.receipt for name, run in self.items()})

    def close(self) -> None:
        """Drop them at once, without their results."""
        for run in self.values():
            run.close()

    def _read(self, warn: bool) -> Results:
        if self._result is None:
            self._result = self._results(lambda run: run.result(warn=warn))
        return self._result

    def peek(self) -> Results:
        """Return the rows so far, without ending the runs; also after one failed."""
        return self._results(Run.peek)

    def _results(self, read: Callable[[Run], Any]) -> Results:
        found = {}

        def take(run: Run) -> None:
            found[run.name] = read(run)

        self._each(take)
        receipts = {name: receipt_of(result) for name, result in found.items()}
        return Results(found, receipt.joint(receipts))

    def __repr__(self) -> str:
        return "\n".join(repr(run) for run in self.values())

    def _repr_html_(self) -> str:
        return "\n".join(run._repr_html_() for run in self.values())


def with_probe(error: KernelScopeError, name: str) -> KernelScopeError:
    """Return the error with the name of its probe, where the message does not begin with it."""
    if not error.message.startswith(name):
        error.message = f"{name}: {error.message}"
        with suppress(IndexError):
            error.args = (error.message, *error.args[1:])
    return error
