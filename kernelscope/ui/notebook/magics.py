"""%ebpf and %%ebpf. `%load_ext kernelscope` brings them in."""

from __future__ import annotations

import inspect
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
from kernelscope.probe import catalogue, search
from kernelscope.tables.attrs import receipt_of
from kernelscope.tracing import losses, options, replay
from kernelscope.tracing.session import Run, Runs, Session, default_session
from kernelscope.ui import help, listing, messages, parser
from kernelscope.ui.notebook import bpftrace_line, completion, replay_notice
from kernelscope.ui.progress import Progress, in_notebook

if TYPE_CHECKING:
    import pandas as pd

    from kernelscope.tables.results import Results, Tables
    from kernelscope.tracing.request import Request

_INTRODUCTION = """Ask the running Linux kernel a question; the answer is a DataFrame.

    %ebpf                          the probes there are, and which of them this kernel can run
    %ebpf NAME [options]           run a probe: %ebpf biolatency -d 10 -o bio
    %ebpf NAME NAME... [options]   run several together; the result is a mapping of theirs
    %ebpf search WORD...           the probes that answer a question: %ebpf search slow disk
    %ebpf live [NAME...]           plots that move while it runs; without a name, a dashboard
    %ebpf show NAME                all about a probe, with its C
    %ebpf NAME --help              all about a probe: its options, columns, cost, caveats
    %%ebpf [options]               run the C in the cell, BPF in BCC's dialect
    %%bpftrace [options]           run the bpftrace script in the cell, with real bpftrace
    %%probe [NAME...] [options]    run the Python in the cell, and say where its time went

    %%ebpf -d 5 -o reads
    BPF_HASH(reads, u32);
    TRACEPOINT_PROBE(syscalls, sys_enter_read) {
        u32 pid = bpf_get_current_pid_tgid() >> 32;
        reads.increment(pid);
        return 0;
    }

Ctrl-C ends a run early and gives what there is. `%config KernelScope` shows the defaults.
"""


def introduction() -> str:
    """Return what `%ebpf?` and `%ebpf --help` show."""
    return f"{_INTRODUCTION}\n{parser.usage()}"


def _wish() -> Any:
    return Union([FloatTrait(), Unicode()], allow_none=True, default_value=None)


@magics_class
class KernelScope(Magics):
    """Defaults of every %ebpf and %%ebpf: `%config KernelScope.duration = "5s"`."""

    duration = _wish().tag(config=True)
    duration.help = "How long to trace where -d does not say; None: the probe's own duration."
    max_rows = _wish().tag(config=True)
    max_rows.help = "Rows kept of each table, the latest; None: what fits in the memory."
    ring = _wish().tag(config=True)
    ring.help = "Size of each ring buffer; None: 16M."
    exclude_self = Bool(False, help="Leave the notebook's own process out.").tag(config=True)
    progress = Bool(True, help="Show progress while a run goes on.").tag(config=True)

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
            return self._ebpf(line, cell)
        except KernelScopeError as error:
            raise _brief(error, cell) from None

    ebpf.__doc__ = introduction()

    def _ebpf(self, line: str, cell: str | None) -> Any:
        if cell is None and line.split()[:1] == ["live"]:
            return self._live(line.strip().removeprefix("live"))
        if cell is None and (found := self._asked_about(line)) is not None:
            return found
        prog = "%ebpf" if cell is None else "%%ebpf"
        parsed = parser.parse(parser.split(line), catalogue.find, prog=prog)
        if parsed.help:
            return self._help(parsed.targets or (parsed.target,))
        if cell is None and parsed.target is None:
            return self._list(parsed.given)
        if cell is not None and parsed.target is not None:
            raise ParameterError(
                f"%%ebpf runs the C in the cell; {parsed.target} is a probe",
                hint=f"%ebpf {parsed.target} (one %) runs the probe",
                name=parsed.target,
            )
        given = self._with_defaults(parsed.given)
        asked: Request | list[Request]
        if parsed.targets:
            asked = self.session.requests(parsed.targets, given, where="magic")
        else:
            asked = self.session.request(parsed.target, cell, given, where="magic")
        wanted = options.of_output(parsed.given)
        return self._background(asked, wanted) if wanted.get("bg") else self._run(asked, wanted)

    @cell_magic
    def bpftrace(self, line: str, cell: str) -> Any:
        """Run the bpftrace script in the cell with real bpftrace: %%bpftrace -d 5 -o reads.

        Each map becomes a DataFrame, its keys' parts columns of their own; printf's lines become
        rows where one format made them. -d TIME (10 s), -o NAME, --pid PID, --table NAME, --csv,
        --parquet, --json, --arrow, --save FILE, --quiet: as %ebpf has them.
        """
        try:
            return self._bpftrace(line, cell)
        except KernelScopeError as error:
            raise _brief(error, cell) from None

    def _bpftrace(self, line: str, cell: str) -> Any:
        from kernelscope.tracing import bpftrace as bpftrace_run

        wanted = bpftrace_line.read(parser.split(line))
        result = bpftrace_run.run(
            cell,
            duration=wanted.get("duration", bpftrace_run.DURATION_S),
            pid=wanted.get("pid"),
            table=wanted.get("table"),
            progress=None if wanted.get("quiet") or not self.progress else Progress(),
            warn=False,
        )
        self._deliver(wanted, result, [losses.loss(receipt_of(result))])
        return result

    @cell_magic
    def probe(self, line: str, cell: str) -> Any:
        """Run the Python in the cell under probes: %%time with the kernel's answer to "where to?".

            %%probe -o r
            %%probe syscount biolatency profile -o r

        Only what the cell does is seen: its thread, and every thread and process that it starts.
        A probe of disks or packets, which knows no tasks, sees the whole machine, and the summary
        says so. Without a name: syscount, offcputime, pagefaults, biotop and profile, where the
        kernel can run them. The result is a mapping of the probes' results, as %ebpf NAME gives
        them; its `value` is that of the cell's last expression. -o NAME binds it.

        What the cell raises is raised when the probes have ended, and -o has what they saw; Ctrl-C
        too. Threads that were there before the cell (a pool's, say) are not the cell's. From Python
        3.12 on its functions have their names in stacks, where it was built with frame pointers.
        """
        __tracebackhide__ = True
        try:
            return self._probe(line, cell)
        except KernelScopeError as error:
            raise _brief(error, cell) from None

    def _probe(self, line: str, text: str) -> Any:
        from kernelscope.ui.notebook import python_cell as cell

        parsed = parser.parse(parser.split(line), catalogue.find, prog="%%probe")
        if parsed.help:
            print(inspect.cleandoc(KernelScope.probe.__doc__ or ""))
            return None
        cell.refuse(parsed.given)
        wanted = options.of_output(parsed.given)
        given = {name: value for name, value in parsed.given.items() if name not in wanted}
        names = parsed.targets or ((parsed.target,) if parsed.target else ())
        python = cell.Cell(self.shell, text)  # type: ignore[arg-type]
        __tracebackhide__ = True  # IPython's mark: what the cell raises is told from the cell on
        made = cell.run(self.session, python, names, given)
        self._deliver(wanted, made.results, [run.loss for run in made.runs.values()])
        if made.results.error is not None:
            raise made.results.error
        return made.results

    def _live(self, line: str) -> None:
        """Show a view that moves; it is displayed here, so that the cell may go on below it."""
        from kernelscope.ui.live import open  # matplotlib and ipywidgets, half a second

        if {"-h", "--help"} & set(parser.split(line)):
            print(open.usage())
        else:
            open.from_line(line, self.session, self._with_defaults({}))

    def _asked_about(self, line: str) -> search.Matches | help.Description | None:
        """Answer `search` and `show`, which run nothing; None where the line is about neither."""
        word, _, rest = line.strip().partition(" ")
        if word == "search":
            return search.asked(rest, prog="%ebpf search")
        if word == "show":
            return help.description(help.named(rest, "%ebpf show"), self.session.check)
        return None

    def _help(self, targets: Sequence[str | None]) -> None:
        for target in targets:
            print(introduction() if target is None else help.probe_help(catalogue.find(target)))

    def _list(self, given: Mapping[str, Any]) -> listing.Listing:
        if given:
            raise ParameterError(
                "which probe? The line has options and no name",
                hint="%ebpf lists the probes; %ebpf NAME [options] runs one",
                name="probe",
            )
        return listing.listing(catalogue.catalogue().values(), self.session.check)

    def _with_defaults(self, given: Mapping[str, Any]) -> dict[str, Any]:
        configured = {
            name: _plain(value)
            for name in ("duration", "max_rows", "ring")
            if (value := getattr(self, name)) is not None
        }
        if self.exclude_self:
            configured["exclude_self"] = True
        return {**configured, **given}

    def _background(self, asked: Request | list[Request], wanted: Mapping[str, Any]) -> Run | Runs:
        for name in options.FILES:
            if name in wanted:
                raise ParameterError(
                    f"--{name} does not go with --bg, whose result is not there yet",
                    hint="afterwards: kernelscope.save(run.result(), PATH)",
                    name=name,
                )
        run = self._submit(asked)
        self._bind(wanted, run)
        return run

    def _submit(self, asked: Request | list[Request]) -> Run | Runs:
        if isinstance(asked, list):
            return self.session.submit_all(asked)
        return self.session.submit(asked)

    def _run(
        self, asked: Request | list[Request], wanted: Mapping[str, Any]
    ) -> pd.DataFrame | Tables | Results:
        run = self._submit(asked)
        try:
            shown = self.progress and not wanted.get("quiet")
            progress = Progress() if shown else None
            result = run.result(progress=progress, warn=False)
        finally:
            run.close()
        runs = list(run.values()) if isinstance(run, Runs) else [run]
        self._deliver(wanted, result, [each.loss for each in runs])
        for each in runs:
            if each.loss is None and each.rows == 0:
                print(f"{each.name}: nothing was seen in {each.elapsed_s:.1f} s")
        return result

    def _deliver(
        self, wanted: Mapping[str, Any], result: Any, losses: Sequence[tuple[str, str] | None]
    ) -> None:
        """Bind the result to its name, say what was lost, and write the files asked for."""
        self._bind(wanted, result)
        for loss in losses:
            if loss is not None:
                _say_loss(*loss)
        if any(wanted.get(kind) for kind in options.FILES):
            _export(result, wanted)

    def _bind(self, wanted: Mapping[str, Any], value: object) -> None:
        if "out" in wanted:
            self.shell.user_ns[wanted["out"]] = value  # type: ignore[union-attr]


def _plain(value: float | str) -> float | int | str:
    """Return a trait's value without the ".0" that makes 5 a float."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _say_loss(what: str, advice: str) -> None:
    """Say it above the result: in a notebook as a box, elsewhere on stderr."""
    text = messages.loss_text(what, advice)
    if not in_notebook():
        print(text, file=sys.stderr)
        return
    from IPython.display import display

    bundle = {"text/plain": text, "text/html": messages.loss_html(what, advice)}
    display(bundle, raw=True)  # type: ignore[no-untyped-call]


def _export(result: pd.DataFrame | Tables | Results, wanted: Mapping[str, Any]) -> None:
    """Write the files; one that cannot be written must not cost the result."""
    from kernelscope.ui import outputs

    written, failed = outputs.write(result, wanted)
    for path in written:
        print(f"wrote {path}")
    for error in failed:
        print(_text(error), file=sys.stderr)


def _text(error: KernelScopeError, cell: str | None = None) -> str:
    first = 0 if cell is None else 1  # the cell's line 1 is the %%ebpf line itself
    return messages.error_text(error, first)


def _brief(error: KernelScopeError, cell: str | None) -> KernelScopeError:
    """Have IPython show the error in a few lines; it is still raised, and "Run All" stops there."""
    lines = _text(error, cell).splitlines()
    error._render_traceback_ = lambda: lines  # type: ignore[attr-defined]
    return error


def _warm(session: Session) -> None:
    """Start the agent and import what decoding needs, so that the first cell is quick."""
    try:
        _ = session.agent
    except KernelScopeError:
        return  # it will be said where it matters: when something is to run
    import kernelscope.tables.collector  # noqa: F401


def load(shell: InteractiveShell) -> None:
    """Register the magics, their configuration and their completion."""
    made = KernelScope(shell)
    shell.register_magics(made)
    configurables: list[Any] = shell.configurables  # what %config knows
    configurables[:] = [item for item in configurables if type(item).__name__ != "KernelScope"]
    configurables.append(made)
    completion.install(shell, made.session)
    if replay.folder() is not None:
        replay_notice.install(shell)
        return
    threading.Thread(
        target=_warm, args=(made.session,), name="kernelscope-warm", daemon=True
    ).start()
