"""%ebpf, %%ebpf, %%bpftrace and %%probe; `%load_ext kernelscope` brings them in."""

from __future__ import annotations

import inspect
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_cell_magic, magics_class
from traitlets import Bool, TraitError, Unicode, Union, validate
from traitlets import Float as FloatTrait

from kernelscope import converters
from kernelscope.errors import KernelScopeError, ParameterError
from kernelscope.probe import catalogue
from kernelscope.tables.attrs import receipt_of
from kernelscope.tracing import losses, options, replay
from kernelscope.tracing.session import Run, Runs, Session, default_session
from kernelscope.ui import command_line, commands, messages
from kernelscope.ui.commands import MAGIC
from kernelscope.ui.notebook import (
    bpftrace_line,
    cell_output,
    completion,
    replay_notice,
    safe_display,
)
from kernelscope.ui.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

    from kernelscope.probe.model import Probe
    from kernelscope.tables.results import Results, Tables
    from kernelscope.tracing.plan import Plan

_INTRODUCTION = """Ask the running Linux kernel a question; the answer is a DataFrame.

{commands}
  %ebpf                         same as %ebpf list
  %ebpf NAME... [options]       same as %ebpf run: %ebpf biolatency -d 10 -o bio
  %ebpf NAME --help             describe the options, columns, cost and caveats of a probe
  %%ebpf [options]              run the C in the cell: BPF in BCC's dialect
  %%bpftrace [options]          run the bpftrace script in the cell, with real bpftrace
  %%probe [NAME...] [options]   run the Python in the cell and show where its time went

    %%ebpf -d 5 -o reads
    BPF_HASH(reads, u32);
    TRACEPOINT_PROBE(syscalls, sys_enter_read) {{
        u32 pid = bpf_get_current_pid_tgid() >> 32;
        reads.increment(pid);
        return 0;
    }}

Ctrl-C ends a run early and returns the rows so far. `%config KernelScope` shows the defaults.
"""


def introduction() -> str:
    """Return what `%ebpf?` and `%ebpf --help` show."""
    return f"{_INTRODUCTION.format(commands=commands.usage(MAGIC))}\n{command_line.usage()}"


def _default() -> Any:
    return Union([FloatTrait(), Unicode()], allow_none=True, default_value=None)


@magics_class
class KernelScope(Magics):
    """Defaults of every %ebpf and %%ebpf: `%config KernelScope.duration = "5s"`."""

    duration = _default().tag(config=True)
    duration.help = "How long to trace if -d is not given; None: the duration of the probe."
    max_rows = _default().tag(config=True)
    max_rows.help = "Rows kept of each table, the latest; None: as many as fit in memory."
    ring = _default().tag(config=True)
    ring.help = "Size of each ring buffer; None: 16M."
    exclude_self = Bool(False, help="Leave out the process of the notebook.").tag(config=True)
    progress = Bool(True, help="Show progress during a run.").tag(config=True)

    def __init__(self, shell: InteractiveShell, session: Session | None = None) -> None:
        super().__init__(shell=shell)
        self.session = session or default_session()

    @validate("duration", "max_rows", "ring")
    def _valid(self, proposal: Any) -> Any:
        convert = {
            "duration": converters.run_time,
            "max_rows": converters.row_limit,
            "ring": converters.ring_size,
        }[proposal["trait"].name]
        if proposal["value"] is not None:
            try:
                convert(_plain(proposal["value"]))
            except ValueError as error:
                raise TraitError(f"{proposal['value']}: {error}") from None
        return proposal["value"]

    @line_cell_magic
    def ebpf(self, line: str, cell: str | None = None) -> Any:
        """Stand-in: `introduction` is put here."""
        try:
            return self._shown(self._ebpf(_without_semicolon(line), cell), line)
        except KernelScopeError as error:
            known = cell_output.with_variable_hint(error, self.shell.user_ns)  # type: ignore[union-attr]
            raise cell_output.brief(known, cell) from None

    ebpf.__doc__ = introduction()

    def _ebpf(self, line: str, cell: str | None) -> Any:
        is_question = cell is None and line.split()[:1] == ["search"]  # may have one apostrophe
        words = line.split() if is_question else command_line.split(line)
        if cell is None:
            command = commands.named(words[0]) if words else "list"
            if command == "live":
                return self._live(line)
            if command == "run":
                words = words[1:]
            elif command == "help" and len(words) == 1:
                return self._help(())
            elif command is not None:
                return _printed(commands.answer(command, words[1:], MAGIC, self.session.check))
        parsed = command_line.parse(
            words, catalogue.find, prog="%ebpf" if cell is None else "%%ebpf"
        )
        if parsed.help:
            return self._help(parsed.probes)
        _check_target(parsed, cell)
        given = self._with_defaults(parsed.given)
        plan = self.session.plan(parsed.subject, given, source=cell, where="magic")
        if plan.output.get("save"):
            cell_output.check_files(plan)
        return self._background(plan) if plan.output.get("bg") else self._run(plan)

    @cell_magic
    def bpftrace(self, line: str, cell: str) -> Any:
        """Run the bpftrace script in the cell with real bpftrace: %%bpftrace -d 5 -o reads.

        Each map becomes a DataFrame with a column for each part of its keys; the lines of a printf
        become rows where one format printed them. Options, as of %ebpf: -d TIME (10 s), -o NAME,
        --pid PID, --table NAME, --csv, --parquet, --json, --arrow, --save FILE, --quiet.
        """
        try:
            return self._shown(self._bpftrace(_without_semicolon(line), cell), line)
        except KernelScopeError as error:
            raise cell_output.brief(error, cell) from None

    def _bpftrace(self, line: str, cell: str) -> Any:
        from kernelscope.tracing import bpftrace as bpftrace_run

        words = command_line.split(line)
        if {"-h", "--help"} & set(words):
            return _printed(inspect.cleandoc(KernelScope.bpftrace.__doc__ or ""))
        wanted = bpftrace_line.read(words)
        quiet = wanted.output.get("quiet") or not self.progress
        result = bpftrace_run.run(
            cell,
            duration=wanted.run.get("duration", bpftrace_run.DURATION_S),
            pid=wanted.run.get("pid"),
            table=wanted.run.get("table"),
            progress=None if quiet else Progress(),
            warn=False,
        )
        self._deliver(wanted.output, result, [losses.loss(receipt_of(result))])
        return result

    @cell_magic
    def probe(self, line: str, cell: str) -> Any:
        """Run this Python cell and show where its time went.

            %%probe -o r
            %%probe syscount biolatency profile -o r

        Only the cell is traced: its thread, and every thread and process that it starts. A probe
        without process context (disks, packets) traces the whole machine, as the summary shows.
        Without a name: those of syscount, offcputime, pagefaults, biotop and profile that this
        kernel can run. The result is a mapping: each probe's result as %ebpf NAME returns it;
        `value` is the value of the cell's last expression. -o NAME binds it.

        An exception of the cell is raised after the probes have ended, and -o has their rows; the
        same after Ctrl-C. Threads that existed before the cell (a pool's) are not traced. From
        Python 3.12, stacks name Python functions if the interpreter was built with frame pointers.
        """
        __tracebackhide__ = True
        try:
            return self._shown(self._probe(_without_semicolon(line), cell), line)
        except KernelScopeError as error:
            raise cell_output.brief(error, cell) from None

    def _probe(self, line: str, text: str) -> Any:
        from kernelscope.ui.notebook import python_cell

        parsed = command_line.parse(command_line.split(line), catalogue.find, prog="%%probe")
        if parsed.help:
            print(inspect.cleandoc(KernelScope.probe.__doc__ or ""))
            return None
        python_cell.check_options(parsed.given)
        cell = python_cell.Cell(self.shell, text)  # type: ignore[arg-type]
        __tracebackhide__ = True  # IPython's mark: an exception's traceback starts in the cell
        outcome = python_cell.run(self.session, cell, parsed.probes, parsed.given)
        self._deliver(outcome.output, outcome.results, [run.loss for run in outcome.runs.values()])
        if outcome.results.error is not None:
            raise outcome.results.error
        return outcome.results

    def _live(self, line: str) -> None:
        """Show a live view. It is displayed here, so that the cell can continue below it."""
        from kernelscope.ui.live import open  # matplotlib and ipywidgets, half a second

        rest = line.strip().removeprefix("live")
        if {"-h", "--help"} & set(command_line.split(rest)):
            print(open.usage())
        else:
            open.from_line(rest, self.session, self._with_defaults({}))

    def _help(self, probes: Sequence[Probe]) -> None:
        from kernelscope.ui import help  # with listings and sections: only help needs them

        for text in map(help.probe_help, probes) if probes else [introduction()]:
            print(text)

    def _with_defaults(self, given: Mapping[str, Any]) -> dict[str, Any]:
        configured = {
            name: _plain(value)
            for name in ("duration", "max_rows", "ring")
            if (value := getattr(self, name)) is not None
        }
        if self.exclude_self:
            configured["exclude_self"] = True
        return {**configured, **given}

    def _background(self, plan: Plan) -> Run | Runs:
        for name in options.FILES:
            if name in plan.output:
                raise ParameterError(
                    f"--{name} cannot be combined with --bg: the result is not available yet",
                    hint="later: kernelscope.save(run.result(), PATH)",
                    name=name,
                )
        run = self.session.begin(plan)
        self._bind(plan.output, run)
        return run

    def _run(self, plan: Plan) -> pd.DataFrame | Tables | Results:
        shown = self.progress and not plan.output.get("quiet")
        progress = Progress() if shown else None
        run = self.session.begin(plan, progress)
        try:
            result = run.result(progress=progress, warn=False)
        finally:
            run.close()
        runs = list(run.values()) if isinstance(run, Runs) else [run]
        self._deliver(plan.output, result, [each.loss for each in runs])
        for each in runs:
            for note in each.receipt["warnings"]:
                print(messages.warning_text(note, lines_above=1), file=sys.stderr)
            if each.loss is None and each.rows == 0:
                print(f"{each.name}: no events in {each.elapsed_s:.1f} s")
        if shown:
            cell_output.show_next_step(result, plan.output.get("out", "_"))
        return result

    def _deliver(
        self, wanted: Mapping[str, Any], result: Any, lost: Sequence[tuple[str, str] | None]
    ) -> None:
        """Bind the result to its name, report lost events, and write the files asked for."""
        self._bind(wanted, result)
        for loss in lost:
            if loss is not None:
                cell_output.show_loss(*loss)
        if any(wanted.get(kind) for kind in options.FILES):
            cell_output.write_files(result, wanted)

    def _shown(self, result: Any, line: str) -> Any:
        """Return the result, which the notebook shows; None if the line ends with a semicolon.

        `x = %ebpf ...;` needs the result and shows nothing anyway.
        """
        if not line.rstrip().endswith(";"):
            return result
        raw = self.shell.history_manager.input_hist_raw[-1]  # type: ignore[union-attr]
        return result if re.search(r"=[ \t]*%\w", raw) else None

    def _bind(self, wanted: Mapping[str, Any], value: object) -> None:
        if "out" in wanted:
            self.shell.user_ns[wanted["out"]] = value  # type: ignore[union-attr]


def _without_semicolon(line: str) -> str:
    return line.rstrip().removesuffix(";") if line.rstrip().endswith(";") else line


def _printed(answer: object) -> object:
    """Print text; return anything else, which the notebook then displays."""
    if isinstance(answer, str):
        print(answer)
        return None
    return answer


def _check_target(parsed: command_line.Parsed, cell: str | None) -> None:
    if cell is None and not parsed.targets:
        raise ParameterError(
            "which probe? The line has options but no name",
            hint="%ebpf lists the probes; %ebpf NAME [options] runs one",
            name="probe",
        )
    if cell is not None and parsed.targets:
        raise ParameterError(
            f"%%ebpf runs the C in the cell; {parsed.targets[0]} is a probe",
            hint=f"%ebpf {parsed.targets[0]} (one %) runs the probe",
            name=parsed.targets[0],
        )


def _plain(value: float | str) -> float | int | str:
    """Return a trait's value, a whole number as an int: 5, not 5.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _warm(session: Session) -> None:
    """Start the agent and import what decoding needs, so that the first cell is quick."""
    try:
        _ = session.agent
    except KernelScopeError:
        return  # it surfaces when something is to run
    import kernelscope.tables.collector  # noqa: F401


def load(shell: InteractiveShell) -> None:
    """Register the magics, their configuration and their completion."""
    magics = KernelScope(shell)
    shell.register_magics(magics)
    configurables: list[Any] = shell.configurables  # what %config knows
    configurables[:] = [item for item in configurables if type(item).__name__ != "KernelScope"]
    configurables.append(magics)
    completion.install(shell, magics.session)
    safe_display.install(shell)
    if replay.folder() is not None:
        replay_notice.install(shell)
        return
    threading.Thread(
        target=_warm, args=(magics.session,), name="kernelscope-warm", daemon=True
    ).start()
