"""The command line: standard output, standard error and exit codes."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from unit.builders.fake_agent import (
    COUNTS,
    EVENTS,
    FakeChannel,
    attached,
    counts,
    events,
    receipt,
    session,
)

from kernelscope.errors import AgentUnavailableError, CompileError
from kernelscope.tracing.session import Session
from kernelscope.ui import commands
from kernelscope.ui.cli import main, streaming


@pytest.fixture
def plays(monkeypatch):
    """Play the next runs back from frames."""

    def prepare(*frames, **how):
        channel = FakeChannel(frames or [attached(EVENTS), events((7, 10)), receipt()], **how)
        made = session(channel)
        prepare.channels.append(channel)  # type: ignore[attr-defined]
        monkeypatch.setattr("kernelscope.tracing.session.default_session", lambda: made)
        return made

    prepare.channels = []  # type: ignore[attr-defined]
    return prepare


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "my-program.c"
    path.write_text("BPF_HASH(counts, u32);")
    return str(path)


def test_prints_csv_to_a_pipe(plays, program, capsys):
    made = plays()

    assert main.main(["run", program, "-d", "1"]) == 0

    assert capsys.readouterr().out == "pid,size_bytes\n7,10\n"
    assert made._live._agent.programs[0].name == "my_program"


@pytest.fixture
def terminal(capsys, monkeypatch):
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True)


def test_prints_rows_to_a_terminal_as_they_happen(plays, program, capsys, terminal):
    plays(attached(EVENTS), events((7, 10)), events((11, 13), (17, 19)), receipt())

    assert main.main(["run", program]) == 0

    assert capsys.readouterr().out.splitlines() == [
        "    pid  size_bytes",
        "      7          10",
        "     11          13",
        "     17          19",
        "… 3 rows",
    ]


def test_prints_the_first_rows_before_the_run_ends(plays, program, terminal, monkeypatch):
    plays(attached(EVENTS), events((7, 10)), held=True, last=[receipt()])
    channel = plays.channels[0]
    stopped_before = []
    show = streaming._Rows.show

    def stop_after_the_first(rows, df):
        show(rows, df)
        stopped_before.append(channel.stopped)
        channel.stop()

    monkeypatch.setattr(streaming._Rows, "show", stop_after_the_first)

    assert main.main(["run", program, "-d", "inf"]) == 0
    assert stopped_before == [False]


def test_prints_the_maps_after_the_rows(plays, program, capsys, terminal):
    plays(attached(EVENTS, COUNTS), events((7, 10)), counts({1: 5, 2: 13}), receipt())

    assert main.main(["run", program]) == 0

    assert capsys.readouterr().out.splitlines()[-4:] == [
        "# counts",
        "key  value",
        "  2     13",
        "  1      5",
    ]


def test_files_get_the_rows_that_were_printed(plays, program, capsys, terminal, tmp_path):
    plays()

    assert main.main(["run", program, "--csv", str(tmp_path / "a.csv")]) == 0

    assert (tmp_path / "a.csv").read_text().splitlines()[-1] == "7,10"


def test_an_endless_run_streams_csv_to_a_pipe(plays, program, monkeypatch):
    plays(attached(EVENTS), events((7, 10)), events((11, 13)), receipt())

    assert piped(monkeypatch, ["run", program, "-d", "inf"]) == "pid,size_bytes\n7,10\n11,13\n"


def test_an_endless_run_streams_json_to_a_pipe(plays, program, monkeypatch):
    plays(attached(EVENTS), events((7, 10)), events((11, 13)), receipt())

    text = piped(monkeypatch, ["run", program, "-d", "inf", "--json", "-"])
    assert [json.loads(line)["pid"] for line in text.splitlines()] == [7, 11]


def test_a_pipe_without_rows_gets_the_names_of_the_columns(plays, program, monkeypatch):
    plays(attached(EVENTS), receipt())

    assert piped(monkeypatch, ["run", program, "-d", "inf"]) == "pid,size_bytes\n"


def piped(monkeypatch, arguments: list[str]) -> str:
    """Return what the command writes to a pipe."""
    read, write = os.pipe()
    with os.fdopen(read, encoding="utf-8") as reader:
        with os.fdopen(write, "w", encoding="utf-8") as writer:
            monkeypatch.setattr(sys, "stdout", writer)
            assert main.main(arguments) == 0
            monkeypatch.undo()
        return reader.read()


def test_ctrl_c_stops_a_run_that_prints_rows(plays, program, capsys, terminal):
    plays(attached(EVENTS), events((7, 10)), held=True, last=[events((11, 13)), receipt()])
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()

    assert main.main(["run", program]) == 130

    assert "11          13" in capsys.readouterr().out


def test_prints_json_lines_with_json_dash(plays, program, capsys):
    plays()

    assert main.main(["run", program, "--json", "-"]) == 0

    assert capsys.readouterr().out == '{"pid":7,"size_bytes":10}\n'


def test_writes_the_file_of_csv_and_reports_it(plays, program, capsys, tmp_path):
    plays()

    assert main.main(["run", program, "--csv", str(tmp_path / "a.csv")]) == 0

    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"wrote {tmp_path / 'a.csv'}\n"


def test_separates_several_tables(plays, program, capsys, tmp_path):
    plays(attached(EVENTS, COUNTS), events((7, 10)), counts({1: 5}), receipt())

    assert main.main(["run", program, "--csv", "-", "--parquet", str(tmp_path / "a.parquet")]) == 0

    assert capsys.readouterr().out == "# events\npid,size_bytes\n7,10\n\n# counts\nkey,value\n1,5\n"
    assert (tmp_path / "a.events.parquet").exists()


def test_reads_c_from_standard_input(plays, capsys, monkeypatch):
    made = plays()
    monkeypatch.setattr(sys, "stdin", io.StringIO("int x;"))

    assert main.main(["run", "-", "-d", "1"]) == 0

    assert made._live._agent.programs[0].source == "int x;"


def test_exits_1_after_a_failed_run(plays, program, capsys):
    plays(attached(EVENTS).__class__({"type": "nothing"}), error=CompileError("bad C"))

    assert main.main(["run", program]) == 1

    out, err = capsys.readouterr()
    assert out == ""
    assert err == "CompileError: bad C\n"


def test_exits_1_without_agent(program, capsys, monkeypatch):
    def refuse():
        raise AgentUnavailableError("tracing needs privilege", hint="use sudo")

    monkeypatch.setattr("kernelscope.tracing.live_source.Agent.start", refuse)
    fresh = Session()
    monkeypatch.setattr("kernelscope.tracing.session.default_session", lambda: fresh)

    assert main.main(["run", program]) == 1
    assert capsys.readouterr().err == "AgentUnavailableError: tracing needs privilege\n  use sudo\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rnu syscount", "there is no command 'rnu'"),
        ("run", "run what?"),
        ("run nosuchprobe", "there is no probe named 'nosuchprobe'"),
        ("run ./nosuchfile.c", "./nosuchfile.c: cannot be read: No such file or directory"),
        ("run syscount -d never", "--duration never: not a duration"),
        ("run syscount --bg", "there is no option --bg outside a notebook"),
        ("run funccount c:malloc", "kernelscope run funccount --function c:malloc"),
        ("show", "show takes the name of one probe"),
        ("list all", "there is no area 'all'"),
    ],
)
def test_exits_2_for_a_wrong_line(line: str, message: str, capsys):
    assert main.main(line.split()) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


def test_prints_the_rows_and_exits_130_after_ctrl_c(plays, program, capsys, monkeypatch):
    plays(attached(EVENTS), events((7, 10)), held=True, last=[receipt()])

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kernelscope.ui.progress.Progress.update", interrupted)

    assert main.main(["run", program]) == 130
    assert capsys.readouterr().out == "pid,size_bytes\n7,10\n"


def test_reports_lost_events_on_standard_error(plays, program, capsys):
    plays(attached(EVENTS), events((7, 10)), receipt(ring_full=9))

    assert main.main(["run", program]) == 0
    assert (
        "LostEventsWarning: my_program lost 9 of 10 events (90 %): the ring buffer was full\n"
        in capsys.readouterr().err
    )


def test_show_prints_help_and_c_source(capsys):
    assert main.main(["show", "syscount"]) == 0

    shown = capsys.readouterr().out
    assert "Usage: kernelscope run syscount" in shown
    assert "--bg" not in shown
    assert "syscount.c:" in shown


def test_list_prints_the_probes(plays, capsys):
    plays()
    assert main.main(["list"]) == 0
    assert re.search(r"biolatency +yes", capsys.readouterr().out)


def test_list_prints_the_probes_of_one_area(plays, capsys):
    plays()
    assert main.main(["list", "block"]) == 0
    shown = capsys.readouterr().out
    assert "biolatency" in shown
    assert "opensnoop" not in shown


def test_list_prints_json(plays, capsys):
    plays()
    assert main.main(["list", "--json"]) == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert entries["biolatency"]["area"] == "block"
    assert set(entries["biolatency"]) == {"name", "area", "summary", "why_not"}


def test_run_may_be_left_out_before_a_probe(plays, capsys):
    assert main.main(["syscount", "--help"]) == 0
    assert "Usage: kernelscope run syscount" in capsys.readouterr().out


@pytest.mark.parametrize("command", commands.COMMANDS, ids=lambda command: command.name)
def test_every_command_has_help(command: commands.Command, capsys):
    assert main.main([command.name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"kernelscope {command.name}" in shown


def test_help_lists_every_command(capsys):
    assert main.main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"kernelscope {name}" in shown for name in commands.NAMES)


@pytest.mark.parametrize("line", ["", "--help", "run --help", "run syscount --help", "--version"])
def test_prints_help_to_standard_output(line: str, capsys):
    assert main.main(line.split()) == 0
    assert capsys.readouterr().out


def test_ignores_a_closed_pipe():
    command = [sys.executable, "-m", "kernelscope", "show", "syscount"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_reports_an_error_without_importing_pandas():
    code = (
        "import sys; from kernelscope.ui.cli.main import main; main(['run', 'nosuch']);"
        "sys.exit('pandas' in sys.modules or 'IPython' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_search_exits_1_without_a_match(capsys):
    assert main.main(["search", "who", "opens", "files"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[1].startswith("opensnoop")
    assert shown[-1].startswith("Start with: kernelscope run opensnoop")
    assert main.main(["search", "zzzzqq"]) == 1
    assert "Nothing fits" in capsys.readouterr().out
    assert main.main(["search"]) == 2


def test_save_picks_the_format_by_extension(plays, program, capsys, tmp_path):
    plays(attached(EVENTS, COUNTS), events((7, 10)), counts({1: 5}), receipt())
    files = [str(tmp_path / name) for name in ("a.b.json", "c.arrow")]

    assert main.main(["run", program, "--save", files[0], "--save", files[1]]) == 0

    assert capsys.readouterr().out == ""
    assert (tmp_path / "a.b.events.json").read_text() == '{"pid":7,"size_bytes":10}\n'
    assert sorted(path.name for path in tmp_path.glob("c.*")) == [
        "c.counts.arrow",
        "c.events.arrow",
    ]


def test_unknown_extension_is_an_error_before_the_run(plays, program, capsys, tmp_path):
    made = plays()

    assert main.main(["run", program, "--save", str(tmp_path / "a.xlsx")]) == 2

    assert "unrecognized file extension; known are .csv, .parquet" in capsys.readouterr().err
    assert made._live._agent.programs == []


def test_prints_the_rows_if_a_file_cannot_be_written(plays, program, capsys, tmp_path):
    plays()

    assert main.main(["run", program, "--save", str(tmp_path / "a.folded")]) == 1

    out, err = capsys.readouterr()
    assert out == "pid,size_bytes\n7,10\n"
    assert "AnalysisError: the table has no stacks" in err


def test_out_option_suggests_save(plays, program, capsys):
    plays()

    assert main.main(["run", program, "-o", "found.csv"]) == 2

    assert "--save FILE writes a file" in capsys.readouterr().err
