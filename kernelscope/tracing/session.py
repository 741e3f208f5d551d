"""Runs of programs: a Session holds the agent and the defaults, a Run is one attached program."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, overload

from kernelscope.errors import AgentDiedError, KernelScopeError, ParameterError
from kernelscope.probe import catalogue
from kernelscope.probe.model import Probe
from kernelscope.tables.results import Results, Tables, with_name
from kernelscope.tracing import option_groups, replay, request
from kernelscope.tracing.agent_client import Agent
from kernelscope.tracing.request import Request
from kernelscope.tracing.run import Run
from kernelscope.tracing.run_group import Runs, named
from kernelscope.tracing.stream import Source

if TYPE_CHECKING:
    import pandas as pd

    from kernelscope.protocol.program import Program

P = ParamSpec("P")
T = TypeVar("T")

Several = list[Any] | tuple[Any, ...]  # of probes, or of their names

__all__ = ["Run", "Runs", "Session", "default_session", "open", "run", "start"]


def _brief(function: Callable[P, T]) -> Callable[P, T]:
    """Leave out of an error's traceback what lies below: it says itself what is wrong and where."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except KernelScopeError as error:
            raise error.with_traceback(None) from error.__cause__

    return called


class Session:
    """An agent, started when first needed, and defaults for every run.

    defaults: any options of `run` ("duration", "max_rows", "ring", ...). A context manager that
    ends the agent. Safe to use from several threads.
    """

    def __init__(self, *, agent: Agent | None = None, **defaults: Any) -> None:
        self.defaults = defaults
        self._agent = agent
        self._launched: Agent | None = None
        self._lock = threading.RLock()

    @property
    def agent(self) -> Agent:
        """The agent, started now if need be. Raises AgentUnavailableError."""
        with self._lock:
            if self._agent is None or not self._agent.alive:
                self._drop_agent()
                self._agent = self._expected() or Agent.start()
            return self._agent

    def expect(self, agent: Agent) -> None:
        """Take an agent that was launched ahead of need; it is greeted when it is needed."""
        self._launched = agent

    def _expected(self) -> Agent | None:
        launched, self._launched = self._launched, None
        if launched is not None:
            launched.greet()
        return launched

    @property
    def started(self) -> bool:
        """Whether the agent runs already."""
        return self._agent is not None and self._agent.alive

    def check(self, hooks: list[str]) -> dict[str, str | None]:
        """Return for each hook why this kernel cannot run it, None where it can."""
        return self.agent.check(hooks)

    @overload
    def run(self, probe: Several, **options: Any) -> Results: ...

    @overload
    def run(
        self, probe: str | Probe | None = None, *, source: str | None = None, **options: Any
    ) -> pd.DataFrame | Tables: ...

    @_brief
    def run(
        self,
        probe: str | Probe | Several | None = None,
        *,
        source: str | None = None,
        **options: Any,
    ) -> pd.DataFrame | Tables | Results:
        """Trace for the duration and return the result.

        probe: a built-in probe's name, or a list of names, which run together and give a mapping of
        results; or source: BPF C in BCC's dialect. options: as the command
        line has them (duration, pid, comm, uid, attach, defines, table, max_rows, interval, ring,
        max_entries, per_cpu, offsets, types, exclude_self, record), and the probe's own (of several
        probes: `syscount={"by": "syscall"}`, or by=... where only one of them has it).
        Ctrl-C ends it early and returns what there is. Raises KernelScopeError's subclasses.
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
        if isinstance(probe, list | tuple):
            if source is not None:
                raise ParameterError("several probes run without C of your own", name="source")
            return self.submit_all(self.requests(probe, options))
        return self.submit(self.request(probe, source, options))

    def request(
        self,
        probe: str | Probe | None,
        source: str | None,
        given: Mapping[str, Any],
        *,
        name: str = "cell",
        where: str = "api",
    ) -> Request:
        """Check everything that can be checked without the agent."""
        if (probe is None) == (source is None):
            raise ParameterError(
                "give either a probe's name or source=, the C text of a program",
                hint="kernelscope.probes() lists the probes",
                name="probe",
            )
        options = {**self.defaults, **{k: v for k, v in given.items() if v is not None}}
        if source is not None:
            return request.from_source(source, options, name=name, where=where)
        found = probe if isinstance(probe, Probe) else catalogue.find(str(probe))
        return request.from_probe(found, options, where=where)

    def requests(
        self, names: Sequence[str | Probe], given: Mapping[str, Any], *, where: str = "api"
    ) -> list[Request]:
        """Check everything about several probes that can be checked without the agent."""
        found = [name if isinstance(name, Probe) else catalogue.find(str(name)) for name in names]
        probes = option_groups.probes_of([probe.name for probe in found], found)
        if not probes:
            raise ParameterError("which probes? The list is empty", name="probe")
        shares = option_groups.shared_out({**self.defaults, **given}, probes, where=where)
        asked = []
        for probe in probes:
            share = {"duration": max(each.duration_s for each in probes), **shares[probe.name]}
            try:
                made = request.from_probe(probe, share, where=where)
            except KernelScopeError as error:
                raise named(error, probe.name) from None
            record = made.record and with_name(made.record, probe.name)
            program = replace(made.program, hold=True)
            asked.append(replace(made, record=record, program=program, sharing=len(probes)))
        return asked

    def submit_all(self, asked: Sequence[Request]) -> Runs:
        """Start runs that `requests` has checked together, and wait until all are attached."""
        runs: dict[str, Run] = {}
        try:
            for each in asked:
                runs[each.name] = self._begun(each)
        except BaseException:
            for run in runs.values():
                run.close()
            raise
        return Runs(runs).begin()

    def submit(self, asked: Request) -> Run:
        """Start a run that `request` has checked, and wait until it is attached."""
        return self._begun(asked).wait_attached()

    def _begun(self, asked: Request) -> Run:
        recorded = replay.stand_in(asked)
        if recorded is not None:
            return Run(recorded, recorded.request, recorded=True)
        channel = self._open(asked.program)
        try:
            recorders = replay.recorders(asked)
        except BaseException:
            channel.close()
            raise
        return Run(channel, asked, recorders=recorders)

    def dismiss(self) -> None:
        """Have the agent end beside what comes next; `close`, or this process's end, waits."""
        if self._agent is not None:
            self._agent.dismiss()

    def close(self) -> None:
        """End the agent, and with it every run of this session."""
        with self._lock:
            self._drop_agent()
            if self._launched is not None:
                self._launched.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, program: Program) -> Source:
        try:
            return self.agent.run(program)
        except AgentDiedError:
            self.close()  # it went away since the last run; a new one serves
            return self.agent.run(program)

    def _drop_agent(self) -> None:
        if self._agent is not None:
            self._agent.close()
            self._agent = None


_default = Session()


def default_session() -> Session:
    """Return the session that the module's functions and the magics share."""
    return _default


@overload
def run(probe: Several, **options: Any) -> Results: ...


@overload
def run(
    probe: str | Probe | None = None, *, source: str | None = None, **options: Any
) -> pd.DataFrame | Tables: ...


@_brief
def run(
    probe: str | Probe | Several | None = None, *, source: str | None = None, **options: Any
) -> pd.DataFrame | Tables | Results:
    """Trace for the duration and return the result; see Session.run."""
    if isinstance(probe, list | tuple):
        return _default.run(probe, source=source, **options)
    return _default.run(probe, source=source, **options)


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
        return _default.start(probe, source=source, **options)
    return _default.start(probe, source=source, **options)


@_brief
def open(path: str | PathLike[str]) -> pd.DataFrame | Tables:
    """Return the result of a recording (made with --record), decoded as it was live.

    The receipt says `recorded: true`. Raises RecordingError; of a run that was refused, its error.
    """
    recorded = replay.Replay(Path(path))
    return Run(recorded, recorded.request, recorded=True).result()
