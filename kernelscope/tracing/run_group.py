"""Runs: several probes that begin together, end together, and whose results belong together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from kernelscope.errors import KernelScopeError
from kernelscope.tables.attrs import receipt_of
from kernelscope.tables.results import Results
from kernelscope.tracing import receipt
from kernelscope.tracing.run import Run, Stoppable

if TYPE_CHECKING:
    from kernelscope.tracing.progress import Progress

_POLL_S = 0.1


class Runs(Mapping[str, Run], Stoppable):
    """The runs of several probes by name; their programs were loaded before the first attached.

    A context manager that stops them at its end. Each Run can be polled and iterated by itself.
    """

    def __init__(self, runs: Mapping[str, Run]) -> None:
        self._runs = dict(runs)
        self.duration_s = min(run.request.duration_s for run in runs.values())
        self._result: Results | None = None

    def __getitem__(self, name: str) -> Run:
        if name not in self._runs:
            raise KeyError(f"{name} (there are: {', '.join(self._runs)})")
        return self._runs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._runs)

    def __len__(self) -> int:
        return len(self._runs)

    def begin(self) -> Self:
        """Wait until all are loaded, then attach them. Where one cannot be, none stays.

        Raises what kept it from that, with the probe's name. Ctrl-C ends them when all are there.
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
                raise named(error, name) from error.__cause__

    def _set_end(self) -> None:
        """Have all end at one moment: the duration after the last one began."""
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
    def running(self) -> bool:
        """Whether any of them is still attached."""
        return any(run.running for run in self.values())

    @property
    def state(self) -> str:
        """The state of the first that is not over; "failed" or "done" when all are."""
        states = [run.state for run in self.values()]
        going = [state for state in states if state not in ("done", "failed")]
        return (going or [state for state in states if state == "failed"] or ["done"])[0]

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended them."""
        return any(run.interrupted for run in self.values())

    @property
    def rows(self) -> int:
        """Records of all tables of all probes so far."""
        return sum(run.rows for run in self.values())

    @property
    def lost(self) -> dict[str, dict[str, int]]:
        """What was lost so far, by probe and cause; only probes that lost something."""
        return {name: run.lost for name, run in self.items() if run.lost}

    @property
    def elapsed_s(self) -> float:
        """Seconds traced: so far, or in all."""
        return max(run.elapsed_s for run in self.values())

    @property
    def receipt(self) -> dict[str, Any]:
        """The joint summary; each Run has its own receipt."""
        return receipt.joint({name: run.receipt for name, run in self.items()})

    def stop(self) -> None:
        """End them early; `result` gives what there is."""
        for run in self.values():
            run.stop()

    def close(self) -> None:
        """Drop them at once, without their results."""
        for run in self.values():
            run.close()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of all, at most `timeout` seconds. Return whether it is over."""
        return self._wait(timeout, None)

    def result(
        self,
        timeout: float | None = None,
        *,
        progress: Progress | None = None,
        warn: bool = True,
    ) -> Results:
        """Wait for the end and return each probe's result by its name; see Run.result.

        Ctrl-C ends all early. Raises the error of the first that failed, with its name.
        """
        try:
            over = self._wait(timeout, progress)
        except KeyboardInterrupt:
            self._interrupt()
            over = True
        if not over:
            names = " and ".join(self)
            raise TimeoutError(f"{names} still run after {timeout} s; stop() ends them early")
        if self._result is None:
            self._result = self._results(lambda run: run.result(warn=warn))
        return self._result

    def peek(self) -> Results:
        """Return what there is so far, without ending the runs; also after one failed."""
        return self._results(Run.peek)

    def _results(self, read: Callable[[Run], Any]) -> Results:
        found = {}

        def take(run: Run) -> None:
            found[run.name] = read(run)

        self._each(take)
        receipts = {name: receipt_of(result) for name, result in found.items()}
        return Results(found, receipt.joint(receipts))

    def _wait(self, timeout: float | None, progress: Progress | None) -> bool:
        left = math.inf if timeout is None else timeout
        try:
            while self.running and left > 0:
                run = next(run for run in self.values() if run.running)
                run.wait(min(_POLL_S, left))
                left -= _POLL_S
                if any(run.state == "failed" for run in self.values()):
                    self.stop()
                if progress is not None:
                    lost = sum(sum(causes.values()) for causes in self.lost.values())
                    ending = self.state == "stopping"
                    progress.update(self.elapsed_s, self.duration_s, self.rows, lost, ending=ending)
        finally:
            if progress is not None:
                progress.clear(self.elapsed_s)
        return not self.running

    def _interrupt(self) -> None:
        for run in self.values():
            run.interrupted = True
        self.stop()
        try:
            self._wait(None, None)
        except KeyboardInterrupt:
            self.close()
            raise

    def __repr__(self) -> str:
        return "\n".join(repr(run) for run in self.values())

    def _repr_html_(self) -> str:
        return "\n".join(run._repr_html_() for run in self.values())


def named(error: KernelScopeError, name: str) -> KernelScopeError:
    """Return the error with the name of the probe that it is about, where it does not say it."""
    if not error.message.startswith(name):
        error.message = f"{name}: {error.message}"
        with suppress(IndexError):
            error.args = (error.message, *error.args[1:])
    return error
