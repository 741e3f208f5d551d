"""The magics in a real InteractiveShell, with an agent that plays frames back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from unit.builders.fake_agent import EVENTS, FakeAgent, FakeChannel, attached, events, receipt

import kernelscope
from kernelscope.errors import AgentUnavailableError, CompileError, KernelScopeError, ParameterError
from kernelscope.probe import catalogue
from kernelscope.tables.results import Tables
from kernelscope.tracing.session import Run, Session
from kernelscope.ui import listing
from kernelscope.ui.notebook import cell_output, magics

CELL = "BPF_HASH(counts, u32);\n// $HOME {x} stays as it is\n"


class Notebook:
    """A shell with the magics, and the agent behind them."""

    def __init__(self, shell: InteractiveShell, agent: FakeAgent) -> None:
        self.shell = shell
        self.agent = agent
        self.magics = magics.KernelScope(shell, Session(agent=agent))  # type: ignore[arg-type]
        shell.register_magics(self.magics)
        shell.configurables.append(self.magics)

    def plays(self, *frames: Any, **how: Any) -> FakeChannel:
        channel = FakeChannel(frames or [attached(EVENTS), events((7, 10)), receipt()], **how)
        self.agent.channels.append(channel)
        return channel

    def run(self, text: str) -> Any:
        return self.shell.run_cell(text)


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    yield Notebook(shell, FakeAgent())
    shell.reset()
    InteractiveShell.clear_instance()


def test_a_c_cell_returns_a_dataframe(notebook: Notebook):
    notebook.plays()

    result = notebook.run(f"%%ebpf -d 1\n{CELL}").result

    assert isinstance(result, pd.DataFrame)
    assert result["pid"].tolist() == [7]


def test_the_c_reaches_the_agent_unchanged(notebook: Notebook):
    notebook.plays()
    notebook.shell.user_ns["x"] = 3

    notebook.run(f"%%ebpf -d 1\n{CELL}")

    assert notebook.agent.programs[0].source == CELL


def test_a_line_may_have_variables(notebook: Notebook):
    notebook.plays()
    notebook.shell.user_ns["seconds"] = 3

    notebook.run(f"%%ebpf -d {{seconds}}\n{CELL}")

    assert notebook.agent.programs[0].duration_ns == 3 * 10**9


def test_out_binds_the_result_too(notebook: Notebook):
    notebook.plays()

    notebook.run("%ebpf syscount -d 1 --table x -o calls")  # a wrong table binds nothing
    assert "calls" not in notebook.shell.user_ns
    notebook.run(f"%%ebpf -d 1 -o calls\n{CELL}")

    assert notebook.shell.user_ns["calls"]["pid"].tolist() == [7]


def test_bg_returns_a_run(notebook: Notebook):
    notebook.plays(attached(EVENTS), held=True, last=[events((7, 10)), receipt()])

    run = notebook.run(f"%%ebpf --bg -o run\n{CELL}").result

    assert isinstance(run, Run)
    assert notebook.shell.user_ns["run"] is run
    run.stop()
    assert run.result()["pid"].tolist() == [7]


def test_files_are_written(notebook: Notebook, tmp_path: Path):
    notebook.plays()

    notebook.run(f"%%ebpf --csv {tmp_path}/a.csv --json {tmp_path}/a.json\n{CELL}")

    assert (tmp_path / "a.csv").read_text().splitlines()[-1] == "7,10"
    assert (tmp_path / "a.json").read_text() == '{"pid":7,"size_bytes":10}\n'


def test_a_file_that_cannot_be_written_keeps_the_result(notebook: Notebook, capsys):
    notebook.plays()

    result = notebook.run(f"%%ebpf --csv /proc/a.csv\n{CELL}").result

    assert len(result) == 1
    assert "ExportError" in capsys.readouterr().err


def test_saved_files_read_back_equal(notebook: Notebook, tmp_path: Path):
    notebook.plays()

    line = f"%%ebpf --arrow {tmp_path}/a.arrow --save {tmp_path}/b.parquet --save {tmp_path}/c.csv"
    result = notebook.run(f"{line}\n{CELL}").result

    for name in ("a.arrow", "b.parquet", "c.csv"):
        back = kernelscope.read(tmp_path / name)
        pd.testing.assert_frame_equal(back, result)
        assert back.attrs == result.attrs


def test_bg_with_a_file_is_an_error_before_the_run(notebook: Notebook, tmp_path):
    outcome = notebook.run(f"%%ebpf --bg --csv {tmp_path}/a.csv\n{CELL}")

    assert isinstance(outcome.error_in_exec, ParameterError)
    assert notebook.agent.programs == []


def test_lost_events_suggest_a_larger_ring(notebook: Notebook, capsys):
    notebook.plays(attached(EVENTS), events((7, 10)), receipt(ring_full=9))

    notebook.run(f"%%ebpf -d 1\n{CELL}")

    what, advice = capsys.readouterr().err.splitlines()
    assert what == "LostEventsWarning: cell lost 9 of 10 events (90 %): the ring buffer was full"
    assert "--ring 64M" in advice


def test_an_error_shows_the_line_of_the_cell(notebook: Notebook, capsys):
    error = CompileError(
        "line 2: use of undeclared identifier 'y'\n        x = y;\n            ^",
        hint="declare it",
        line=2,
        column=9,
        text="    x = y;",
        log="...",
    )
    notebook.plays(attached(EVENTS).__class__({"type": "nothing"}), error=error)

    outcome = notebook.run(f"%%ebpf -d 1\n{CELL}")

    assert outcome.error_in_exec is error
    assert capsys.readouterr().out.splitlines() == [
        "CompileError: use of undeclared identifier 'y'",
        "     3 |     x = y;",
        "       |         ^",
        "  declare it",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%ebpf sycount", "there is no probe named 'sycount'"),
        ("%ebpf -d 5", "which probe? The line has options but no name"),
        ("%ebpf syscount --duratoin 5", "Did you mean --duration"),
        ("%%ebpf syscount\nint x;", "%ebpf syscount (one %) runs the probe"),
        ("%%ebpf -d 5\n\n", "there is no C to run"),
    ],
)
def test_a_wrong_line_shows_no_traceback(notebook: Notebook, capsys, text: str, message: str):
    outcome = notebook.run(text)

    shown = capsys.readouterr().out
    assert message in shown
    assert "Traceback" not in shown
    assert len(shown.splitlines()) <= 4
    assert isinstance(outcome.error_in_exec, KernelScopeError)


def test_the_list_shows_which_probes_run_here(notebook: Notebook):
    notebook.agent.reasons = {"profile:hz:99": "no perf events"}

    shown = notebook.run("%ebpf").result

    refused = {entry.name for entry in shown if entry.why_not}
    assert refused == {
        name
        for name, probe in catalogue.catalogue().items()
        if "profile:hz:99" in listing.probe_specs(probe)
    }
    assert "profile" in refused
    assert "profile: no perf events" in repr(shown)
    assert "no perf events" in shown._repr_html_()


def test_the_list_works_without_an_agent(notebook: Notebook, monkeypatch):
    def refuse(specs):
        raise AgentUnavailableError("tracing needs privilege")

    monkeypatch.setattr(notebook.agent, "check", refuse)
    shown = notebook.run("%ebpf").result

    assert len(shown) == len(catalogue.names())
    assert "not known: tracing needs privilege" in repr(shown)


def test_help_shows_options_columns_cost_and_caveats(notebook: Notebook, capsys):
    notebook.run("%ebpf biolatency --help")

    shown = capsys.readouterr().out
    for part in ("--disk DISK", "--duration TIME", "latency_us", "Overhead: low", "Caveats:"):
        assert part in shown


def test_help_of_the_magic_lists_the_options(notebook: Notebook, capsys):
    notebook.run("%ebpf --help")
    assert "--max-rows N" in capsys.readouterr().out
    assert "--max-rows N" in (magics.KernelScope.ebpf.__doc__ or "")


def test_config_sets_defaults_for_a_line(notebook: Notebook):
    notebook.plays()
    notebook.plays()

    notebook.run('%config KernelScope.duration = "2s"')
    notebook.run(f"%%ebpf\n{CELL}")
    notebook.run(f"%%ebpf -d 1\n{CELL}")

    assert [p.duration_ns for p in notebook.agent.programs] == [2 * 10**9, 10**9]


def test_a_wrong_default_is_an_error_when_set(notebook: Notebook, caplog):
    notebook.run('%config KernelScope.duration = "soon"')

    assert "not a duration" in caplog.text
    assert notebook.magics.duration is None


def test_search_and_show_run_nothing(notebook: Notebook):
    assert notebook.run("%ebpf search who's opening files").result[0].name == "opensnoop"
    shown = repr(notebook.run("%ebpf show runqlat").result)
    assert "int on_switch(u64 *ctx)" in shown
    assert "tp_btf:sched_switch" in shown


def test_run_may_stand_before_a_probe(notebook: Notebook):
    notebook.plays()
    notebook.run("%ebpf run syscount -d 1")
    assert notebook.agent.programs[0].name == "syscount"


@pytest.mark.parametrize("line", ["help", "--help", "--version", "search --help", "list --help"])
def test_help_needs_no_agent_and_returns_nothing(notebook: Notebook, capsys, line: str):
    assert notebook.run(f"%ebpf {line}").result is None
    assert capsys.readouterr().out.strip()


def test_the_list_of_a_notebook_unfolds_by_area(notebook: Notebook):
    shown = notebook.run("%ebpf")
    page = shown.result._repr_html_()
    areas = {probe.area for probe in catalogue.catalogue().values()}
    assert page.count("<details>") == len(areas)
    assert notebook.run("%ebpf list block").result._repr_html_().count("<details open>") == 1


@pytest.mark.parametrize("end", [";", " ;", "; "])
def test_a_semicolon_hides_the_result(notebook: Notebook, end: str):
    notebook.plays()
    outcome = notebook.run(f"%%ebpf --quiet -d 1 -o found{end}\n{CELL}")
    assert outcome.error_in_exec is None
    assert outcome.result is None
    assert len(notebook.shell.user_ns["found"]) == 1


def test_a_semicolon_after_an_assignment_keeps_the_result(notebook: Notebook):
    outcome = notebook.shell.run_cell("found = %ebpf list;", store_history=True)
    assert outcome.error_in_exec is None
    assert len(notebook.shell.user_ns["found"]) == len(catalogue.names())


def test_a_python_variable_in_the_c_is_explained(notebook: Notebook, capsys):
    error = CompileError("line 1: use of undeclared identifier 'limit'", line=1, text="x", hint="?")
    notebook.plays(attached(EVENTS).__class__({"type": "nothing"}), error=error)
    notebook.shell.user_ns["limit"] = 5

    notebook.run(f"%%ebpf -d 1\n{CELL}")

    assert "limit is a Python variable" in capsys.readouterr().out
    assert "-D limit={limit}" in (error.hint or "")


def test_a_hint_numbers_lines_as_the_cell_does(notebook: Notebook, capsys):
    error = CompileError("line 4: expected ';'", line=4, text="x", hint="line 2: this is bpftrace")
    notebook.plays(attached(EVENTS).__class__({"type": "nothing"}), error=error)

    notebook.run(f"%%ebpf -d 1\n{CELL}")

    assert capsys.readouterr().out.splitlines()[1:] == ["     5 | x", "  line 3: this is bpftrace"]


def test_a_search_ends_with_the_next_step(notebook: Notebook):
    found = notebook.run("%ebpf search who's opening files").result
    assert repr(found).endswith("Start with: %ebpf opensnoop (%ebpf show opensnoop describes it).")
    assert "Start with: %ebpf opensnoop" in found._repr_html_()
    assert not notebook.run("%ebpf search zzzzqq").result


@pytest.mark.parametrize(
    ("table", "step"),
    [
        ({"user_stack": ["a;b"], "count": [3]}, "bio.ks.flamegraph()"),
        ({"us_low": [1], "us_high": [2], "count": [3]}, "bio.ks.percentiles()"),
        ({"comm": ["a"], "count": [3]}, "bio.ks.top()"),
    ],
)
def test_a_result_has_a_next_step(table: dict[str, list[Any]], step: str):
    df = pd.DataFrame(table)
    assert step in cell_output.next_step(df, "bio")
    several = Tables({"empty": df.head(0), "full": df}, {})
    assert step.replace("bio.", 'bio["full"].') in cell_output.next_step(several, "bio")
    assert cell_output.next_step(df.head(0), "bio") == ""


@pytest.mark.parametrize("name", ["x.html", "x.folded", "x.pb.gz"])
def test_a_file_of_stacks_is_refused_before_a_run_without_any(notebook: Notebook, name: str):
    outcome = notebook.run(f"%ebpf runqlat -d 1 --save {name}")
    assert "runqlat records no stacks" in str(outcome.error_in_exec)
    assert notebook.agent.programs == []


def test_a_file_of_stacks_is_not_refused_for_a_probe_with_stacks(notebook: Notebook, tmp_path):
    outcome = notebook.run(f"%ebpf profile -d 1 --save {tmp_path}/x.html")
    assert "no stacks" not in str(outcome.error_in_exec)


@pytest.mark.parametrize("magic", ["%%ebpf", "%%bpftrace", "%%probe"])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_cell_magic_has_help_and_runs_nothing(
    notebook: Notebook, capsys, magic: str, flag: str
):
    outcome = notebook.run(f"{magic} {flag}\nx")
    assert outcome.error_in_exec is None
    assert outcome.result is None
    assert "-o" in capsys.readouterr().out
    assert notebook.agent.programs == []
