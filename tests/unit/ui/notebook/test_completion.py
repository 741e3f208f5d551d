"""Tab completion: our options and values alone, in IPython and in what a notebook asks of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from unit.builders.fake_agent import FakeAgent

from kernelscope.probe import catalogue
from kernelscope.tracing.session import Session
from kernelscope.ui import commands
from kernelscope.ui.notebook import completion, magics


class Notebook:
    """A shell with the magics and their completion, and the agent behind them."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.agent = FakeAgent()
        self.magics = magics.KernelScope(shell, Session(agent=self.agent))  # type: ignore[arg-type]
        shell.register_magics(self.magics)
        completion.install(shell, self.magics.session)

    def offered(self, line: str) -> list[str]:
        """Return the lines that Tab at the end of a line would make of it."""
        with provisionalcompleter():
            found = list(self.shell.Completer.completions(line, len(line)))
        return [line[: item.start] + item.text for item in found]


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    InteractiveShell.clear_instance()
    yield Notebook(InteractiveShell.instance())
    InteractiveShell.clear_instance()


def completions(notebook: Notebook, line: str) -> list[str]:
    symbol = line
    for delimiter in " :=,\"'":
        symbol = symbol.rpartition(delimiter)[2]
    return completion.at_cursor(line, symbol, notebook.magics.session)


def test_completion_offers_probes_options_and_choices(notebook: Notebook):
    assert completions(notebook, "%ebpf sysc") == ["syscount"]
    assert set(completions(notebook, "%ebpf ")) == {*catalogue.names(), *commands.NAMES}
    assert completions(notebook, "%ebpf live runql") == ["runqlat", "runqlen"]
    assert completions(notebook, "%ebpf show sysc") == ["syscount"]
    assert all(name.startswith("/") for name in completions(notebook, "%ebpf syscount --cgroup "))
    assert completions(notebook, "%ebpf syscount --dur") == ["--duration"]
    assert "--by" in completions(notebook, "%ebpf syscount --")
    assert completions(notebook, "%ebpf syscount --by pro") == ["process"]
    assert completions(notebook, "%ebpf biolatency --table ") == ["latency"]


def test_completion_of_a_probe_cell(notebook: Notebook):
    assert completions(notebook, "%%probe sysc") == ["syscount"]
    assert completions(notebook, "%%probe syscount offc") == ["offcputime"]
    assert completions(notebook, "%%probe live") == []
    assert "--failed" in completions(notebook, "%%probe syscount --f")


def test_completion_offers_hooks_of_the_agent(notebook: Notebook):
    notebook.agent.names = ["block:block_rq_issue", "block:block_rq_complete"]

    assert completions(notebook, "%%ebpf --attach tracep") == ["tracepoint:"]
    assert completions(notebook, "%%ebpf --attach tracepoint:block:block_rq_i") == [
        "block_rq_issue"
    ]
    assert completions(notebook, '%%ebpf --attach "tracepoint:block:block_rq_i') == [
        "block_rq_issue"
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%ebpf sysc", "syscount"),
        ("%ebpf syscount --dur", "--duration"),
        ("%ebpf syscount --by pro", "process"),
        ("%%ebpf --attach tracepoint:block:block_rq_i", "block_rq_issue"),
        ('%%ebpf --attach "tracepoint:block:block_rq_i', "block_rq_issue"),
    ],
)
def test_completion_works_through_ipython(notebook: Notebook, line: str, expected: str):
    notebook.agent.names = ["block:block_rq_issue"]

    assert notebook.offered(line) == [line[: line.rindex(expected[:3])] + expected]


def test_completion_offers_further_probes_and_the_options_of_each(notebook: Notebook):
    assert completions(notebook, "%ebpf runqlat sysc") == ["syscount"]
    assert "runqlat" not in completions(notebook, "%ebpf runqlat ")
    assert completions(notebook, "%ebpf runqlat syscount --syscount.b") == ["--syscount.by"]
    assert completions(notebook, "%ebpf runqlat syscount --fai") == ["--failed"]
    assert completions(notebook, "%ebpf runqlat syscount --b") == ["--bg"]  # --by is of both
    assert completions(notebook, "%ebpf runqlat syscount --syscount.by s") == ["syscall"]
    assert completions(notebook, "%ebpf runqlat syscount --syscount.table c") == ["calls"]


def test_tab_after_dashes_offers_options_alone(notebook: Notebook):
    offered = notebook.offered("%ebpf biolatency --")
    flags = [line.removeprefix("%ebpf biolatency ") for line in offered]
    assert {"--disk", "--queued", "--duration", "--help"} <= set(flags)
    assert len(flags) < 40
    assert not any("Abstract" in flag or flag.startswith("--_") for flag in flags)


def test_tab_after_the_magic_offers_probes_and_commands_alone(notebook: Notebook):
    offered = [line.removeprefix("%ebpf ") for line in notebook.offered("%ebpf ")]
    assert set(offered) == {*catalogue.names(), *commands.NAMES}


@pytest.mark.parametrize("line", ["bio = %ebpf biolat", "    %ebpf biolat", "%ebpf run biolat"])
def test_a_magic_need_not_start_its_line(notebook: Notebook, line: str):
    assert notebook.offered(line) == [line.removesuffix("biolat") + "biolatency"]


def test_other_lines_are_pythons(notebook: Notebook):
    assert "print" in {line.strip() for line in notebook.offered("prin")}


def test_disks_are_offered_where_a_disk_is_named(notebook: Notebook):
    disks = {path.name for path in Path("/sys/class/block").iterdir()}
    assert set(completions(notebook, "%ebpf biolatency --disk ")) == disks


def test_interfaces_are_offered(notebook: Notebook):
    names = {path.name for path in Path("/sys/class/net").iterdir()}
    assert set(completions(notebook, "%ebpf xdpcount --interface ")) == names
    assert {f"xdp:{n}" for n in completions(notebook, "%%ebpf --attach xdp:")} == {
        f"xdp:{name}" for name in names
    }


def test_processes_names_and_users_are_offered(notebook: Notebook):
    own = Path("/proc/self/comm").read_text().strip()
    assert str(os.getpid()) in completions(notebook, f"%ebpf syscount --pid {os.getpid()}")
    assert own in completions(notebook, f"%ebpf syscount --comm {own[:3]}")
    assert "root" in completions(notebook, "%ebpf syscount --uid ro")


def test_column_kinds_and_durations_are_offered(notebook: Notebook):
    assert completions(notebook, "%%ebpf --type addr=ipv") == ["ipv4", "ipv6"]
    assert "inf" in completions(notebook, "%ebpf syscount -d ")


def test_files_and_extensions_are_offered(notebook: Notebook, tmp_path: Path):
    (tmp_path / "data.csv").touch()
    (tmp_path / "folder").mkdir()
    offered = completions(notebook, f"%ebpf syscount --save {tmp_path}/")
    assert [Path(name).name for name in offered] == ["data.csv", "folder"]
    assert f"{tmp_path}/x.parquet" in completions(notebook, f"%ebpf syscount --save {tmp_path}/x.p")


def test_names_that_cannot_be_typed_are_left_out(notebook: Notebook):
    notebook.agent.names = ["sched:good", "sched:\x1b[2J", "sched:a b"]
    assert completions(notebook, "%%ebpf --attach tracepoint:sched:") == ["good"]


def test_a_second_load_replaces_the_completion(notebook: Notebook):
    before = len(notebook.shell.Completer.custom_matchers)
    completion.install(notebook.shell, notebook.magics.session)
    assert len(notebook.shell.Completer.custom_matchers) == before
