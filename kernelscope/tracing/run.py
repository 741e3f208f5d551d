"""Run: the handle of one attached program."""

from __future__ import annotations

import math
import sys
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

from kernelscope.errors import LostEventsWarning, ProgramWarning
from kernelscope.protocol.probe_folder import PACKAGE
from kernelscope.tables.attrs import KEY, receipt_of
from kernelscope.tables.results import Tables
from kernelscope.text import facts_html
from kernelscope.tracing import losses, receipt, request
from kernelscope.tracing.batch import Batch
from kernelscope.tracing.progress import Progress
from kernelscope.tracing.request import Request
from kernelscope.tracing.run_handle import RunHandle
from kernelscope.tracing.stream import Source, Stream

if TYPE_CHECKING:
    from kernelscope.accessor import Table
    from kernelscope.io.recording import Recorder


ATTACH_POLL_S = 0.1  # how often the display of a run that is not attached yet is updated


class Run(RunHandle["Table | Tables"]):
    """One attached program. Iterate it for batches, stop it, read its result.

    A context manager that stops the run at its end. A Run that is no longer referenced is closed.
    """

    def __init__(
        self,
        source: Source,
        asked: Request,
        *,
        recorders: Sequence[Recorder] = (),
        recorded: bool = False,
    ) -> None:
        self.request = asked
        self.beside: dict[str, Any] = {}  # of a run in a group: its receipt's "beside"
        self._recorded = recorded
        self._warned = False
        self._noted = False
        self._odd: list[str] = []
        self._result: Table | Tables | None = None
        self._stream = Stream(source, asked, recorders)
        self._finalizer = weakref.finalize(self, self._stream.close)
        self._stream.begin()

    @property
    def name(self) -> str:
        """The probe's name, or "cell"."""
        return self.request.name

    @property
    def streams(self) -> Sequence[Stream]:
        """The reading side, for what handles one run and several alike."""
        return (self._stream,)

    @property
    def title(self) -> str:
        """The name, for messages."""
        return self.name

    @property
    def duration_s(self) -> float:
        """How long to trace; math.inf until stopped."""
        return self.request.duration_s

    @property
    def stream(self) -> Stream:
        """The reading side: what a live view reads."""
        return self._stream

    @property
    def lost(self) -> dict[str, int]:
        """Lost events so far, by cause."""
        return self._stream.lost

    @property
    def receipt(self) -> dict[str, Any]:
        """What was measured and what it cost, as plain JSON; so far, while it runs."""
        return self._receipt({})

    @property
    def loss(self) -> tuple[str, str] | None:
        """What was lost, and what helps against it ("" if nothing does); None for no loss."""
        return losses.loss(self.receipt)

    def wait_attached(self, progress: Progress | None = None) -> Self:
        """Wait until the program is attached. Raises the error if it cannot be.

        Ctrl-C drops the run at once: the agent ends the compiler and all that was loaded.
        """
        try:
            while not self._stream.ready.wait(ATTACH_POLL_S):
                if progress is not None:
                    progress.update(0.0, self.duration_s, 0, 0)
            if self._stream.error is not None and not self._stream.attached:
                raise self._stream.error
        except BaseException:
            if progress is not None:
                progress.clear(0.0)
            self.close()
            raise
        return self

    def wait_loaded(self) -> None:
        """Wait until a program of a group is loaded. Raises the error if it cannot be."""
        self._stream.loaded.wait()
        if self._stream.error is not None and not self._stream.attached:
            raise self._stream.error

    def begin(self) -> None:
        """Attach a program of a group."""
        self._stream.start()

    @property
    def began_ns(self) -> int:
        """When it was attached, on CLOCK_MONOTONIC; 0 if that is not known."""
        return int(self._stream.attached.get("began_ns", 0))

    def end_at(self, at_ns: int) -> None:
        """End the run at that moment of CLOCK_MONOTONIC, whatever its duration was."""
        self._stream.until(at_ns)

    def live(self, **options: Any) -> Any:
        """Show the run in a notebook while it traces: `kernelscope.live(run, **options)`."""
        # Live views are above runs; the root package resolves the name when it is first used.
        return sys.modules["kernelscope"].live(self, **options)

    def close(self) -> None:
        """Drop the run at once, without its result."""
        self._finalizer()

    def _read(self, warn: bool) -> Table | Tables:
        if self._stream.error is not None:
            raise self._stream.error
        if self._result is None:
            self._result = self._decode()
        if warn:
            self._warn()
        return self._result

    def peek(self) -> Table | Tables:
        """Return the rows so far, without ending the run; also after it failed."""
        self._stream.refresh()
        return self._decode()

    def __iter__(self) -> Iterator[Batch]:
        """Yield the latest batches so far, then each as it arrives, until the run's end."""
        return self._stream.batches()

    def __repr__(self) -> str:
        facts = self._facts()
        if "rows" in facts:
            facts["rows"] += " row" if facts["rows"] == "1" else " rows"
        if "lost" in facts:
            facts["lost"] += " lost"
        return f"<kernelscope.Run {', '.join([self.name, *facts.values()])}>"

    def _repr_html_(self) -> str:
        return facts_html(f"{self.name}, in the background", self._facts(), self._next_step())

    def _facts(self) -> dict[str, str]:
        """Return the run's state as text, by topic."""
        traced = f"{self.elapsed_s:.1f} s"
        if self.running and math.isfinite(self.request.duration_s):
            traced += f" of {self.request.duration_s:g} s"
        facts = {"state": self.state, "traced": traced}
        if self.rows or not self.running:
            facts["rows"] = f"{self.rows:,}"
        if self.lost:
            facts["lost"] = f"{sum(self.lost.values()):,}"
        return facts

    def _next_step(self) -> str:
        if self.state == "failed":
            return "result() raises the error; peek() returns the rows that arrived."
        if not self.running:
            return "result() returns the result."
        return "peek() returns the rows so far, stop() ends it, result() waits for its end."

    def _decode(self) -> Table | Tables:
        from kernelscope import accessor  # imports pandas, which tracing does not need

        accessor.register()
        chosen = self.request.table
        tables = self._stream.tables(chosen)
        if self._stream.collector is not None:
            self._odd = self._stream.collector.warnings()
        made = self._receipt({name: len(table) for name, table in tables.items()})
        for name, table in tables.items():
            own: dict[str, Any] = {"table": name}
            if self.request.plots is not None and (spans := receipt.spans(self.request, name)):
                own["spans"] = spans
            table.attrs[KEY] = {**made, **receipt_of(table), **own}
        if chosen is not None:
            if chosen not in tables:
                raise request.unknown_table(chosen, list(tables))
            return cast("Table", tables[chosen])
        if len(tables) == 1:
            return cast("Table", next(iter(tables.values())))
        return Tables(tables, made)

    def _receipt(self, rows: Mapping[str, int]) -> dict[str, Any]:
        stream = self._stream
        made = receipt.build(
            self.request,
            stream.attached,
            stream.receipt or {"runs": stream.status.get("runs", {})},
            stream.lost,
            rows,
            stream.events,
            elapsed_s=stream.elapsed_s,
            interrupted=self.interrupted,
            recorded=self._recorded,
        )
        made["warnings"] += self._odd
        if self.beside:
            made["beside"] = self.beside
        if stream.problems:
            made["problems"] = list(stream.problems)
        return made

    def _warn(self) -> None:
        message = losses.loss_message(self.receipt)
        if message is not None and not self._warned:
            self._warned = True
            warnings.warn(message, LostEventsWarning, stacklevel=_callers_level())
        for note in self.receipt["warnings"] if not self._noted else ():
            warnings.warn(note, ProgramWarning, stacklevel=_callers_level())
        self._noted = True


def _callers_level() -> int:
    """Return the stack level of the user's line, for a warning to name it."""
    package = str(PACKAGE)
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        level, frame = level + 1, frame.f_back
    return level
