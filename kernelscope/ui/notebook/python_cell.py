"""Runs a cell's Python under probes that see what it does, and nothing else of the notebook.

All programs are loaded and attached before the cell begins. Its thread tells the agent when it
begins and ends by two names that it takes for a moment (see agent/attach/task_tree.py): so what is
counted is the cell's own, and none of what this module does.
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
from kernelscope.text import facts_html, shortened
from kernelscope.tracing import request
from kernelscope.ui import listing
from kernelscope.ui.notebook import cell_summary
from kernelscope.ui.notebook.cell_summary import Spent

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kernelscope.tracing.request import Request
    from kernelscope.tracing.run import Run
    from kernelscope.tracing.session import Session

PROBES = ("syscount", "offcputime", "pagefaults", "biotop", "profile")
_REFUSED = ("duration", "tree", "bg", "exclude_self")
_PR_SET_NAME = 15
_HELD = ctypes.PyDLL(None)  # keeps the interpreter's lock: giving it up is a system call or two


class CellResults(Results):
    """What a cell gave: each probe's result by its name, `value`, and what the cell took.

    value: of the cell's last expression, None where it ends with a statement. spent: wall and CPU
    time. error: what the cell raised, if it did.
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
        """Where the time went, as text: wall and CPU time, and a line of each probe."""
        facts = cell_summary.facts(self.spent, self)
        if self.error is not None:
            return {**facts, "Raised": type(self.error).__name__}
        return {**facts, "Value": _shown(self.value)}

    def __repr__(self) -> str:
        width = max(map(len, self.summary))
        return "\n".join(f"{name:<{width}}  {said}" for name, said in self.summary.items())

    def _repr_html_(self) -> str:
        hint = f"Each probe's table is there by its name: {', '.join(self)}; .value is the cell's."
        return facts_html("The cell, and where its time went", self.summary, hint)


def _shown(value: Any) -> str:
    return shortened(" ".join(reprlib.repr(value).split()), 80)


class Cell:
    """A cell's Python, compiled. Raises SyntaxError as the cell by itself would."""

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
    """What became of a cell, and the runs that looked on, ended."""

    results: CellResults
    runs: Mapping[str, Run]


def run(session: Session, cell: Cell, names: Sequence[str], given: Mapping[str, Any]) -> Outcome:
    """Run the cell under the probes; what it raises is in the results.

    names: of probes; none takes those of PROBES that the kernel can run. Raises ParameterError,
    and what keeps a probe from running: then the cell does not run either.
    """
    asked = requests(session, names, given)
    with _named_frames(asked):
        runs = session.submit_all(asked)
        try:
            if runs.interrupted:
                raise KeyboardInterrupt
            value, error, spent = _observed(cell)
            runs.stop()
            results = runs.result(warn=False)
        finally:
            runs.close()
    return Outcome(CellResults(results, value, spent, error), runs)


def refuse(given: Mapping[str, Any]) -> None:
    """Raise ParameterError for an option of %ebpf that a cell's run has no use for."""
    for name in _REFUSED:
        if name in given:
            raise ParameterError(
                f"--{name.replace('_', '-')} does not go with %%probe",
                hint="it traces what the cell does, for as long as that takes",
                name=name,
            )


def requests(session: Session, names: Sequence[str], given: Mapping[str, Any]) -> list[Request]:
    """Check the probes and their options, and hold them to this thread while it runs the cell."""
    wanted = names or _supported(session)
    asked = session.requests(wanted, {**given, "duration": "inf"}, where="magic")
    return [request.of_cell(each, threading.get_native_id()) for each in asked]


def _supported(session: Session) -> list[str]:
    probes = [catalogue.find(name) for name in PROBES]
    return [entry.name for entry in listing.listing(probes, session.check) if not entry.why_not]


def _observed(cell: Cell) -> tuple[Any, BaseException | None, Spent]:
    value, error = None, None
    own = Path("/proc/thread-self/comm").read_bytes()[:15].rstrip(b"\n")
    before = _clocks()
    try:
        _rename(CELL_BEGINS.encode())
        _rename(own)
        value = cell.execute()
    except BaseException as raised:  # Ctrl-C and exit() too: it is raised again, by the magic
        error = _without_this_module(raised)
    finally:
        _rename(CELL_ENDS.encode())
        _rename(own)
    return value, error, Spent(*(b - a for a, b in zip(before, _clocks(), strict=True)))


def _rename(name: bytes) -> None:
    _HELD.prctl(_PR_SET_NAME, name, 0, 0, 0)


def _clocks() -> tuple[float, float, float, float]:
    own, ended = (resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    process, children = (each.ru_utime + each.ru_stime for each in (own, ended))
    return time.perf_counter(), time.thread_time(), process, children


def _without_this_module(error: BaseException) -> BaseException:
    """Have the traceback begin in the cell."""
    at = error.__traceback__
    while at is not None and at.tb_frame.f_code.co_filename == __file__:
        at = at.tb_next
    return error.with_traceback(at)


@contextmanager
def _named_frames(asked: Sequence[Request]) -> Iterator[None]:
    """Have Python (3.12 and later) give its functions names in stacks, where there are stacks."""
    activate = getattr(sys, "activate_stack_trampoline", None)
    columns = [c for each in asked for table in each.tables for c in table.columns]
    stacks = any(column.kind == "user_stack" for column in columns)
    if activate is None or not stacks or sys.is_stack_trampoline_active():  # type: ignore[attr-defined]
        yield
        return
    try:
        activate("perf")
    except (ValueError, RuntimeError, OSError):  # an interpreter or a machine without them
        yield
        return
    try:
        yield
    finally:
        sys.deactivate_stack_trampoline()  # type: ignore[attr-defined]
