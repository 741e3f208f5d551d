"""A Session has the agent and the defaults of its runs; a Run is one attached program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, Self, TypeVar, overload

from kernelscope.errors import KernelScopeError, ParameterError
from kernelscope.probe import catalogue
from kernelscope.probe.model import Probe
from kernelscope.tables.results import Results, Tables
from kernelscope.tracing import build_request, option_groups, options, replay
from kernelscope.tracing.agent_client import Agent
from kernelscope.tracing.live_source import LiveSource
from kernelscope.tracing.plan import Placement, Plan
from kernelscope.tracing.progress import Progress
from kernelscope.tracing.replay import RecordedSource
from kernelscope.tracing.request import Request
from kernelscope.tracing.run import Run
from kernelscope.tracing.run_group import Runs, with_probe

if TYPE_CHECKING:
    from kernelscope.accessor import Table

P = ParamSpec("P")
T = TypeVar("T")

Several = list[Any] | tuple[Any, ...]  # of probes, or of their names

__all__ = ["Run", "Runs", "Session", "default_session", "open", "run", "start"]


def _brief(function: Callable[P, T]) -> Callable[P, T]:
    """Cut an error's traceback below the caller: the message has the cause and the place."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except KernelScopeError as error:
            raise error.with_traceback(None) from error.__cause__

    return called


class RunSource(Protocol):
    """Where a session's runs come from: an agent, or a folder of recordings."""

    def begin(self, request: Request) -> Run:
        """Start a run, or its replay."""


class Session:
    """An agent, started when first needed, and defaults for every run.

    defaults: any options of `run` ("duration", "max_rows", "ring", ...). A context manager that
    ends the agent. Safe to use from several threads. Where KERNELSCOPE_REPLAY names a folder,
    the session's runs are replays of its recordings.
    """

    def __init__(self, *, agent: Agent | None = None, **defaults: Any) -> None:
        self.defaults = defaults
        self._live = LiveSource(agent)
        folder = replay.folder()
        self._source: RunSource = self._live if folder is None else RecordedSource(folder)

    @property
    def agent(self) -> Agent:
        """The agent, started now if necessary. Raises AgentUnavailableError."""
        return self._live.agent

    def expect(self, agent: Agent) -> None:
        """Use an agent that was launched early; its greeting is awaited when it is needed."""
        self._live.expect(agent)

    @property
    def started(self) -> bool:
        """Whether the agent is running."""
        return self._live.started

    def check(self, hooks: Sequence[str]) -> dict[str, str | None]:
        """Return for each hook why this kernel cannot run it, None where it can."""
        return self._live.check(hooks)

    @overload
    def run(self, probe: Several, **options: Any) -> Results: ...

    @overload
    def run(
        self,
        probe: str | Probe | None = None,
        *,
        source: str | None = None,
        table: str,
        **options: Any,
    ) -> Table: ...

    @overload
    def run(
        self, probe: str | Probe | None = None, *, source: str | None = None, **options: Any
    ) -> Table | Tables: ...

    @_brief
    def run(
        self,
        probe: str | Probe | Several | None = None,
        *,
        source: str | None = None,
        **options: Any,
    ) -> Table | Tables | Results:
        """Trace for the duration and return the result.

        probe: a built-in probe's name, or a list of names, which run together and return a mapping
        of results; or source: BPF C in BCC's dialect. options: as the command
        line has them (duration, pid, comm, uid, attach, defines, table, max_rows, interval, ring,
        max_entries, per_cpu, offsets, types, exclude_self, record), and the probe's own (of several
        probes: `syscount={"by": "syscall"}`, or by=... where only one of them has it).
        Ctrl-C ends it early and returns the rows so far. Raises KernelScopeError's subclasses.
        """
        run = self.start(probe, source=source, **options)
        try:
            return run.result()
        finally:
            run.close()

    @overload
    def start(self, probe: Several, **options: Any) -> Runs: ...

    @overload
    def start(
        self, probe: str | Probe | None = None, *, source: str | None = None, **options: Any
    ) -> Run: ...

    @_brief
    def start(
        self,
        probe: str | Probe | Several | None = None,
        *,
        source: str | None = None,
        **options: Any,
    ) -> Run | Runs:
        """Attach and return at once with the Run (of several probes, the Runs); see `run`."""
        return self.begin(self.plan(probe, options, source=source))

    def plan(
        self,
        probe: str | Probe | Several | None,
        given: Mapping[str, Any],
        *,
        source: str | None = None,
        name: str = "cell",
        where: str = "api",
        cell_thread: int | None = None,
        max_bytes: int | None = None,
    ) -> Plan:
        """Check everything that can be checked without the agent.

        probe: one, or a list of those that run together; or source: C, with a name for it. where:
        "api", "cli" or "magic", for the options there are and how errors name them. cell_thread,
        max_bytes: as in Placement. Raises ParameterError, TargetError, ProbeNotFoundError.
        """
        if (probe is None) == (source is None):
            raise ParameterError(
                "give either a probe's name or source=, the C text of a program",
                hint="kernelscope.probes() lists the probes",
                name="probe",
            )
        wanted = {**self.defaults, **{k: v for k, v in given.items() if v is not None}}
        if isinstance(probe, list | tuple):
            placement = Placement(len(probe), cell_thread, max_bytes)
            return _plan_of_several([_found(each) for each in probe], wanted, where, placement)
        placement = Placement(None, cell_thread, max_bytes)
        if probe is None:
            split = options.split(wanted, where=where)
            request = build_request.of_source(source or "", split, name=name, placement=placement)
        else:
            found = _found(probe)
            split = options.split(wanted, found, where=where)
            request = build_request.of_probe(found, split, placement)
        return Plan((request,), split.output)

    def begin(self, plan: Plan, progress: Progress | None = None) -> Run | Runs:
        """Start what was planned and wait until it is attached; Ctrl-C drops it."""
        if not plan.together:
            return self._source.begin(plan.requests[0]).wait_attached(progress)
        runs: dict[str, Run] = {}
        try:
            for request in plan.requests:
                runs[request.name] = self._source.begin(request)
        except BaseException:
            for run in runs.values():
                run.close()
            raise
        return Runs(runs).begin()

    def dismiss(self) -> None:
        """Let the agent end in the background; `close`, or this process's end, waits for it."""
        self._live.dismiss()

    def close(self) -> None:
        """End the agent, and with it every run of this session."""
        self._live.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _found(probe: str | Probe) -> Probe:
    return probe if isinstance(probe, Probe) else catalogue.find(probe)


def _plan_of_several(
    named: Sequence[Probe], given: Mapping[str, Any], where: str, placement: Placement
) -> Plan:
    probes = option_groups.distinct(named)
    shares = option_groups.shared_out(given, probes, where=where)
    longest = max(probe.duration_s for probe in probes)
    requests: list[Request] = []
    output: dict[str, Any] = {}
    for probe in probes:
        try:
            split = options.split({"duration": longest, **shares[probe.name]}, probe, where=where)
            requests.append(build_request.of_probe(probe, split, placement))
        except KernelScopeError as error:
            raise with_probe(error, probe.name) from None
        output = {**output, **split.output}
    return Plan(tuple(requests), output, together=True)


@cache
def default_session() -> Session:
    """Return the session that the module's functions and the magics share."""
    return Session()


@overload
def run(probe: Several, **options: Any) -> Results: ...


@overload
def run(
    probe: str | Probe | None = None, *, source: str | None = None, table: str, **options: Any
) -> Table: ...


@overload
def run(
    probe: str | Probe | None = None, *, source: str | None = None, **options: Any
) -> Table | Tables: ...


@_brief
def run(
    probe: str | Probe | Several | None = None, *, source: str | None = None, **options: Any
) -> Table | Tables | Results:
    """Trace for the duration and return the result; see Session.run."""
    if isinstance(probe, list | tuple):
        return default_session().run(probe, source=source, **options)
    result: Table | Tables = default_session().run(probe, source=source, **options)
    return result


@overload
def start(probe: Several, **options: Any) -> Runs: ...


@overload
def start(
    probe: str | Probe | None = None, *, source: str | None = None, **options: Any
) -> Run: ...


@_brief
def start(
    probe: str | Probe | Several | None = None, *, source: str | None = None, **options: Any
) -> Run | Runs:
    """Attach and return at once with the Run or the Runs; see Session.start."""
    if isinstance(probe, list | tuple):
        return default_session().start(probe, source=source, **options)
    return default_session().start(probe, source=source, **options)


@_brief
def open(path: str | PathLike[str]) -> Table | Tables:
    """Return the result of a recording (of --record), decoded as a live run is.

    The receipt has `recorded: true`. Raises RecordingError, and the error of a run that failed.
    """
    recorded = replay.Replay(Path(path))
    return Run(recorded, recorded.request, recorded=True).result()
