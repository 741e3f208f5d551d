"""What one run and a group of runs have in common: their state, their end, Ctrl-C, the result."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Self, TypeVar

from kernelscope.tracing import ctrl_c
from kernelscope.tracing.progress import Progress
from kernelscope.tracing.stream import Stream

R = TypeVar("R")  # the result

_POLL_S = 0.1


class RunHandle(ABC, Generic[R]):
    """Runs that are waited for, stopped and read together.

    A context manager that stops them at its end.
    """

    @property
    @abstractmethod
    def streams(self) -> Sequence[Stream]:
        """The reading side of each run."""

    @property
    @abstractmethod
    def title(self) -> str:
        """The probe's name, or the names of several, for messages."""

    @property
    @abstractmethod
    def duration_s(self) -> float:
        """How long to trace; math.inf until stopped."""

    @abstractmethod
    def _read(self, warn: bool) -> R:
        """Return the result of runs that have ended. Raises the error of one that failed."""

    @abstractmethod
    def close(self) -> None:
        """Drop it at once, without the result."""

    @property
    def running(self) -> bool:
        """Whether a program is still attached, or about to be."""
        return any(not stream.done.is_set() for stream in self.streams)

    @property
    def state(self) -> str:
        """One of "starting", "running", "stopping", "done", "failed".

        Of several runs, the state of the first that has not ended; "failed" if one did.
        """
        states = [stream.state for stream in self.streams]
        active = [state for state in states if state not in ("done", "failed")]
        return (active or [state for state in states if state == "failed"] or ["done"])[0]

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it."""
        return any(stream.interrupted for stream in self.streams)

    @property
    def rows(self) -> int:
        """Records of all tables so far; a map's count once it has been read."""
        return sum(stream.rows for stream in self.streams)

    @property
    def elapsed_s(self) -> float:
        """Seconds traced: so far, or in all."""
        return max(stream.traced_s for stream in self.streams)

    def stop(self) -> None:
        """End it early; `result` gives what arrived until then."""
        for stream in self.streams:
            stream.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds. Return whether it has ended."""
        return self._wait(timeout, None)

    def result(
        self,
        timeout: float | None = None,
        *,
        progress: Progress | None = None,
        warn: bool = True,
    ) -> R:
        """Wait for the end and return the result; Ctrl-C ends it early instead.

        One table gives a DataFrame, several a mapping of them, several probes a mapping of their
        results. `attrs["kernelscope"]` of each table holds the receipt. Raises the run's error, and
        TimeoutError after `timeout` seconds. Warns with LostEventsWarning, once, where events were
        lost.
        """
        try:
            ended = self._wait(timeout, progress)
        except KeyboardInterrupt:
            ctrl_c.end_early(self.streams, self.stop, lambda: self._wait(None, None), self.close)
            ended = True
        if not ended:
            raise TimeoutError(
                f"{self.title}: still running after {timeout} s; stop() ends it early"
            )
        return self._read(warn)

    def _wait(self, timeout: float | None, progress: Progress | None) -> bool:
        """Wait for all; where one fails, stop the others."""
        for stream in self.streams:
            stream.release_feeds()
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            while (
                waiting := next((s for s in self.streams if not s.done.is_set()), None)
            ) is not None:
                left = _POLL_S if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    return False
                if waiting.done.wait(min(_POLL_S, left)):
                    continue
                if any(stream.state == "failed" for stream in self.streams):
                    self.stop()
                if progress is not None:
                    self._show(progress)
        finally:
            if progress is not None:
                progress.clear(self.elapsed_s)
        return True

    def _show(self, progress: Progress) -> None:
        lost = sum(sum(stream.lost.values()) for stream in self.streams)
        ending = self.state == "stopping"
        progress.update(self.elapsed_s, self.duration_s, self.rows, lost, ending=ending)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.stop()
            self.wait()
        else:
            self.close()
