"""Runs the Python of a cell under probes that trace the cell and nothing else of the notebook.

All programs are attached before the cell starts. Its thread marks its start and end for the agent
by taking one of two names for a moment (see agent/attach/task_tree.py), so that the work of this
module is not counted.
"""

from __future__ import annotations

import ast
import ctypes
import reprlib
import resource
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelscope.errors import ParameterError
from kernelscope.probe import catalogue
from kernelscope.protocol.cell_names import CELL_BEGINS, CELL_ENDS
from kernelscope.tables.results import Results
from kernelscope.text import facts_html, printable, shortened
from kernelscope.tracing.run_group import Runs
from kernelscope.ui import listing
from kernelscope.ui.notebook import cell_summary
from kernelscope.ui.notebook.cell_summary import Spent

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kernelscope.probe.model import Probe
    from kernelscope.tracing.plan import Plan
    from kernelscope.tracing.request import Request
    from kernelscope.tracing.run import Run
    from kernelscope.tracing.session import Session

PROBES = ("syscount", "offcputime", "pagefaults", "biotop", "profile")
_UNSUPPORTED = ("duration", "tree", "bg", "exclude_self")
_PR_SET_NAME = 15
_LIBC = ctypes.PyDLL(None)  # keeps the GIL: releasing it costs a system call or two


class CellResults(Results):
    """The result of a cell: each probe's result by its name, `value`, and the time spent.

    value: of the cell's last expression, None if it ends with a statement. spent: wall and CPU
    time. error: the exception of the cell, if any.
    """

    def __init__(
        self,
        found: Results,
        value: Any,
        spent: Spent,
        error: BaseException | None = None,
    ) -> None:
        super().__init__(dict(found), found.receipt)
        self.value = value
        self.spent = spent
        self.error = error

    @property
    def summary(self) -> dict[str, str]:
        """Where the time went, as text: wall and CPU time, and a line per probe."""
        facts = cell_summary.facts(self.spent, self)
        if self.error is not None:
            return {**facts, "Raised": type(self.error).__name__}
        return {**facts, "Value": _shown(self.value)}

    def __repr__(self) -> str:
        width = max(map(len, self.summary))
        lines = [f"{name:<{width}}  {fact}" for name, fact in self.summary.items()]
        return printable("\n".join(lines), keep="\n")

    def _repr_html_(self) -> str:
        hint = f"Index it by probe for a table: {', '.join(self)}. .value is the value of the cell."
        return facts_html("Where the time of the cell went", self.summary, hint)


def _shown(value: Any) -> str:
    return shortened(" ".join(reprlib.repr(value).split()), 80)


class Cell:
    """The Python of a cell, compiled. Raises SyntaxError as the plain cell would."""

    def __init__(self, shell: InteractiveShell, text: str) -> None:
        source = shell.transform_cell(text)  # type: ignore[no-untyped-call]
        name = shell.compile.cache(source, shell.execution_count, raw_code=text)
        tree = shell.transform_ast(ast.parse(source, name))  # type: ignore[no-untyped-call]
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        self._names: dict[str, Any] = shell.user_ns
        compiled: Any = shell.compile
        self._body = compiled(tree, name, "exec")
        self._last = None
        if isinstance(last, ast.Expr):
            self._last = compiled(ast.Expression(last.value), name, "eval")

    def execute(self) -> Any:
        """Run it and return the value of its last expression."""
        exec(self._body, self._names)
        return None if self._last is None else eval(self._last, self._names)


@dataclass
class Outcome:
    """The result of a cell, the finished runs that traced it, and the options of the output."""

    results: CellResults
    runs: Mapping[str, Run]
    output: Mapping[str, Any]


def run(session: Session, cell: Cell, probes: Sequence[Probe], given: Mapping[str, Any]) -> Outcome:
    """Run the cell under the probes; its exception is in the results.

    Without probes, those of PROBES run that the kernel supports. Raises ParameterError and the
    error of a probe that cannot run; then the cell does not run either.
    """
    plan = plan_for_cell(session, probes, given)
    with _named_frames(plan.requests):
        runs = session.begin(plan)
        assert isinstance(runs, Runs)
        try:
            if runs.interrupted:
                raise KeyboardInterrupt
            value, error, spent = _observed(cell)
            runs.stop()
            results = runs.result(warn=False)
        finally:
            runs.close()
    return Outcome(CellResults(results, value, spent, error), runs, plan.output)


def check_options(given: Mapping[str, Any]) -> None:
    """Raise ParameterError for an option of %ebpf that %%probe does not support."""
    for name in _UNSUPPORTED:
        if name in given:
            raise ParameterError(
                f"--{name.replace('_', '-')} cannot be combined with %%probe",
                hint="%%probe traces the cell, for as long as it runs",
                name=name,
            )


def plan_for_cell(session: Session, probes: Sequence[Probe], given: Mapping[str, Any]) -> Plan:
    """Check the probes and their options, and restrict them to this thread during the cell."""
    return session.plan(
        list(probes) or _supported(session),
        {**given, "duration": "inf"},
        where="magic",
        cell_thread=threading.get_native_id(),
    )


def _supported(session: Session) -> list[Probe]:
    probes = [catalogue.find(name) for name in PROBES]
    listed = listing.listing(probes, session.check)
    return [probe for probe, entry in zip(probes, listed, strict=True) if not entry.why_not]


def _observed(cell: Cell) -> tuple[Any, BaseException | None, Spent]:
    value, error = None, None
    own = Path("/proc/thread-self/comm").read_bytes()[:15].rstrip(b"\n")
    before = _clocks()
    try:
        _rename(CELL_BEGINS.encode())
        _rename(own)
        value = cell.execute()
    except BaseException as raised:  # Ctrl-C and exit() too: the magic raises it again
        error = _without_this_module(raised)
    finally:
        _rename(CELL_ENDS.encode())
        _rename(own)
    return value, error, Spent(*(b - a for a, b in zip(before, _clocks(), strict=True)))


def _rename(name: bytes) -> None:
    _LIBC.prctl(_PR_SET_NAME, name, 0, 0, 0)


def _clocks() -> tuple[float, float, float, float]:
    own, ended = (resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    process, children = (each.ru_utime + each.ru_stime for each in (own, ended))
    return time.perf_counter(), time.thread_time(), process, children


def _without_this_module(error: BaseException) -> BaseException:
    """Cut the frames of this module, so that the traceback starts in the cell."""
    at = error.__traceback__
    while at is not None and at.tb_frame.f_code.co_filename == __file__:
        at = at.tb_next
    return error.with_traceback(at)


@contextmanager
def _named_frames(requests: Sequence[Request]) -> Iterator[None]:
    """Name Python functions in stacks (Python 3.12 and later) if a probe records stacks."""
    activate = getattr(sys, "activate_stack_trampoline", None)
    columns = [c for each in requests for table in each.tables for c in table.columns]
    stacks = any(column.kind == "user_stack" for column in columns)
    if activate is None or not stacks or sys.is_stack_trampoline_active():  # type: ignore[attr-defined]
        yield
        return
    try:
        activate("perf")
    except (ValueError, RuntimeError, OSError):  # not supported by the interpreter or the machine
        yield
        return
    try:
        yield
    finally:
        sys.deactivate_stack_trampoline()  # type: ignore[attr-defined]
