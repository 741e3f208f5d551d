"""Options and parameters: valid ones, and the errors for invalid ones."""

from __future__ import annotations

import math
import os
import subprocess
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from unit.builders import requests

from kernelscope import converters
from kernelscope.errors import KernelScopeError, ParameterError, TargetError
from kernelscope.probe import catalogue
from kernelscope.tracing import options
from kernelscope.ui import command_line

SOURCE = "BPF_HASH(counts, u32);"


def parse(line: str) -> command_line.Parsed:
    return command_line.parse(command_line.split(line), catalogue.find)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5),
        ("500ms", 0.5),
        ("2m", 120),
        ("1h", 3600),
        ("1.5s", 1.5),
        (0.25, 0.25),
        (timedelta(minutes=1), 60),
        ("inf", math.inf),
    ],
)
def test_durations(text: object, seconds: float):
    assert converters.run_time(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("64K", 65536), ("16M", 1 << 24), ("1MiB", 1 << 20), (4096, 4096)]
)
def test_ring_sizes(text: object, size: int):
    assert converters.ring_size(text) == size


def test_a_ring_is_rounded_up_to_a_power_of_two():
    assert converters.ring_size("3M") == 4 << 20


@pytest.mark.parametrize(("text", "count"), [("1M", 10**6), ("10k", 10**4), ("1_000", 1000)])
def test_counts(text: str, count: int):
    assert converters.count(text) == count


def test_a_user_is_given_by_name_or_number():
    assert converters.user_id("root") == 0
    assert converters.user_id("65534") == 65534


def test_a_disk_becomes_the_kernels_device_number(tmp_path: Path):
    (tmp_path / "vdb").mkdir()
    (tmp_path / "vdb" / "dev").write_text("254:16\n")

    assert converters.disk("vdb", tmp_path) == 254 << 20 | 16
    assert converters.disk("/dev/vdb", tmp_path) == 254 << 20 | 16


def test_a_line_is_taken_apart():
    parsed = parse("syscount -d 5 -o calls --by process --comm 'my app'")

    assert parsed.targets == ("syscount",)
    assert parsed.given == {"duration": "5", "out": "calls", "by": "process", "comm": "my app"}


def test_the_probe_may_come_after_its_options():
    assert parse("-d 5 syscount").targets == ("syscount",)


def test_attach_repeats_and_takes_equals_signs_in_hooks():
    parsed = parse('--attach "uprobe:c:malloc=a" --attach "uprobe:/lib=x/y:f=b"')
    found = options.split(parsed.given).run

    assert found["attach"] == [("uprobe:c:malloc", "a"), ("uprobe:/lib=x/y:f", "b")]


def test_a_macro_without_a_value_is_1():
    found = options.split(parse("-D DEBUG -D N=3").given).run

    assert found["defines"] == {"DEBUG": "1", "N": "3"}


def test_help_is_seen_among_other_options():
    assert parse("syscount -d 5 --help").help


BAD_LINES = [
    ("-d", "-d/--duration: expected one argument"),
    ("-d five", "--duration five: not a duration such as 5, 500ms, 2m or 1h"),
    ("-d 0", "--duration 0: must be more than 0"),
    ("-d -3", "--duration -3: not a duration"),
    ("-d 8d", "--duration 8d: longer than 7 days"),
    ("-d 5parsecs", "--duration 5parsecs: not a duration"),
    ("-d nan", "--duration nan: not a duration"),
    ("--duratoin 5", "there is no option --duratoin"),
    ("--pid abc", "--pid abc: not an integer"),
    ("--pid 0", "--pid 0: not a process id"),
    ("--pid -1", "--pid -1: not a process id"),
    ("--pid 99999999999", "--pid 99999999999: not a process id"),
    ("--comm ''", "--comm : not a process's name"),
    ("--comm abcdefghijklmnop", "longer than 15 bytes"),
    ("--uid nobody-of-that-name", "--uid nobody-of-that-name: no such user"),
    ("--uid 4294967295", "--uid 4294967295: not a user id"),
    ("--max-rows 0", "--max-rows 0: must be at least 1"),
    ("--max-rows 1.5", "--max-rows 1.5: not a whole number"),
    ("--max-rows many", "--max-rows many: not a whole number such as"),
    ("--ring 1", "--ring 1: must be from 4K to 1G"),
    ("--ring 64X", "--ring 64X: not a size such as"),
    ("--ring 2G", "--ring 2G: must be from 4K to 1G"),
    ("--max-entries 1000G", "--max-entries 1000G: must be from 1 to 67,108,864"),
    ("--interval 1ms", "--interval 1ms: must be from 10ms to 1d"),
    ("--attach uprobe:c:malloc", "is not of the form LEFT=RIGHT"),
    ("--attach uprobe:c:malloc=1x", "'1x' is not the name of a C function"),
    ("--attach =f", "is not of the form LEFT=RIGHT"),
    ("-D 1X=2", "'1X' is not the name of a macro"),
    ("-D X=é", "the value of X is not one line of plain text"),
    ("-o 1st", "--out 1st: not a Python name"),
    ("-o class", "--out class: not a Python name"),
    ("--csv /no/such/folder/x.csv", "the folder /no/such/folder does not exist"),
    ("--csv /tmp", "--csv /tmp: is a folder, not a file"),
    ("--parquet -", "--parquet -: must be a file"),
    ("--record /no/such/folder/x", "the folder /no/such/folder does not exist"),
    ("--type pid", "is not of the form LEFT=RIGHT"),
    ("--type a=nokind", "there is no kind of column 'nokind'"),
    ("--comm 'unclosed", "the line cannot be read: no closing quotation"),
    ("--bg=yes", "ignored explicit argument 'yes'"),
]


@pytest.mark.parametrize(("line", "message"), BAD_LINES)
def test_a_bad_option_of_a_cell_is_named_with_the_reason(line: str, message: str):
    with pytest.raises(ParameterError) as caught:
        requests.of_source(SOURCE, parse(line).given, where="magic")

    assert message in str(caught.value)


BAD_PROBE_LINES = [
    ("syscount --by disk", "--by disk: is none of both, syscall, process"),
    ("syscount --bye pid", "there is no option --bye"),
    ("syscount --attach uprobe:c:f=g", "syscount has its own hooks and columns"),
    ("syscount --table nothing", "there is no table 'nothing'"),
    ("biolatency --disk nosuchdisk", "no such disk on this machine (the disks are:"),
    ("biolatency --pid 1", "biolatency cannot tell processes apart"),
    ("profile --hz 0", "--hz 0: must be at least 1 and at most 5000"),
    ("profile --hz 99.5", "--hz 99.5: not an integer"),
    ("tcplife --port 65536", "--port 65536: must be at least 1 and at most 65535"),
]


@pytest.mark.parametrize(("line", "message"), BAD_PROBE_LINES)
def test_a_bad_option_of_a_probe_is_named_with_the_reason(line: str, message: str):
    def ask() -> None:
        parsed = parse(line)
        requests.of_probe(parsed.probes[0], parsed.given, where="magic")

    with pytest.raises(ParameterError) as caught:
        ask()

    assert message in str(caught.value)


def test_a_misspelt_option_brings_close_matches():
    with pytest.raises(ParameterError, match=r"Did you mean .*--duration"):
        parse("--duratoin 5")


def test_a_misspelt_parameter_in_python_brings_close_matches():
    with pytest.raises(ParameterError, match=r"Did you mean duration"):
        requests.of_probe(catalogue.find("syscount"), {"duratoin": 5})


def test_an_option_of_notebooks_is_none_of_the_command_line():
    with pytest.raises(ParameterError, match="there is no option --bg outside a notebook"):
        command_line.parse(["syscount", "--bg"], catalogue.find, where="cli")


def test_a_process_that_is_gone_is_named():
    with pytest.raises(TargetError, match="there is no process 2147483647"):
        requests.of_source(SOURCE, {"pid": 2**31 - 1})


@pytest.mark.parametrize("filter_", ["pid", "tree"])
def test_thread_id_is_refused_with_its_process(filter_: str) -> None:
    known = threading.Event()
    thread = threading.Thread(target=known.wait, args=(10,))
    thread.start()  # returns once the thread has its id
    try:
        with pytest.raises(TargetError, match=f"is a thread of process {os.getpid()}, not"):
            requests.of_probe(catalogue.find("opensnoop"), {filter_: thread.native_id})
    finally:
        known.set()
        thread.join()


@pytest.mark.parametrize("filter_", ["pid", "tree"])
def test_zombie_is_refused(filter_: str) -> None:
    process = subprocess.Popen(["true"])
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.005)
    with pytest.raises(TargetError, match=f"process {process.pid} has ended"):
        requests.of_probe(catalogue.find("opensnoop"), {filter_: process.pid})
    process.wait()


@pytest.mark.parametrize(
    ("text", "message"), [("  \n", "there is no C"), ("x" * 300_000, "longer")]
)
def test_a_text_that_cannot_be_a_program_is_refused(text: str, message: str):
    with pytest.raises(ParameterError, match=message):
        requests.of_source(text, {})


def test_a_cell_becomes_a_program():
    given = {"duration": "2s", "pid": "1", "comm": "cat", "attach": ["uprobe:c:malloc=f"]}
    program = requests.of_source(SOURCE, {**given, "per_cpu": True}).program

    assert program.duration_ns == 2 * 10**9
    assert (program.filters.pid, program.filters.comm) == (1, "cat")
    assert program.hooks[0].any_of == ("uprobe:c:malloc",)
    assert program.target_pid == 1
    assert program.per_cpu
    assert "KS_SLOTS" in program.prelude


def test_every_program_passes_the_agents_gate():
    for probe in catalogue.catalogue().values():
        given = {"duration": "inf", **probe.needed()}
        program = requests.of_probe(probe, given).program
        assert type(program).from_json(program.to_json()) == program


def test_parameters_reach_the_program_as_numbers():
    program = requests.of_probe(
        catalogue.find("syscount"), {"by": "process", "failed": True}
    ).program

    assert program.params == {"by": 2, "failed": 1}


def test_a_parameter_is_filled_into_a_hook():
    program = requests.of_probe(catalogue.find("profile"), {"hz": 49}).program

    assert program.hooks[0].any_of == ("profile:hz:49",)


def test_a_tree_is_tested_by_the_agent_or_in_the_code():
    task = requests.of_probe(catalogue.find("syscount"), {"tree": 1}).program.filters
    code = requests.of_probe(catalogue.find("offcputime"), {"tree": 1}).program.filters

    assert (task.tree, task.tree_in_code) == (1, None)
    assert (code.tree, code.tree_in_code) == (1, True)


@pytest.mark.parametrize("probe", ["tcplife", "tcpstates", "sockstat", "biolatency"])
def test_a_tree_is_refused_where_the_task_is_not_known(probe):
    with pytest.raises(ParameterError, match=f"^{probe} cannot tell .* --tree does not work"):
        requests.of_probe(catalogue.find(probe), {"tree": 1})


def test_a_probe_that_filters_by_itself_gets_the_filters_as_parameters():
    asked = requests.of_probe(catalogue.find("runqlat"), {"pid": 1, "uid": 0, "comm": "cat"})

    assert asked.program.filters.pid is None
    assert asked.program.params["filter_pid"] == 1
    assert asked.program.params["filter_uid"] == 1  # uid + 1: 0 means unset
    assert asked.program.params["filter_comm_0"] == int.from_bytes(b"cat", "little")


def test_the_digest_ignores_the_duration():
    digests = {requests.of_source(SOURCE, {"duration": d}).digest() for d in (1, 2)}
    other = requests.of_source(SOURCE + " ", {}).digest()

    assert len(digests) == 1
    assert other not in digests


def test_no_option_prints_or_exits(capsys):
    for line in ("--help", "-d", "--nothing", "syscount --help"):
        try:
            parse(line)
        except KernelScopeError:
            continue
    assert capsys.readouterr() == ("", "")


def test_help_names_every_option():
    shown = command_line.usage()

    for option in options.offered("magic"):
        assert option.flags[-1] in shown
        assert option.help


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        ("", []),
        ("syscount -d 5   # how often, don't ask", ["syscount", "-d", "5"]),
        ("# nothing", []),
        ("--comm 'a # b' --csv /tmp/a#b # c", ["--comm", "a # b", "--csv", "/tmp/a#b"]),
    ],
)
def test_a_comment_ends_a_line(line: str, tokens: list[str]):
    assert command_line.split(line) == tokens


def test_help_of_a_probe_leaves_out_what_it_refuses():
    shown = command_line.usage(catalogue.find("biolatency"))

    assert "--queued" in shown
    assert "--pid" not in shown
    assert "--attach" not in shown
    assert "target" not in command_line.usage()


@pytest.mark.parametrize("columns", ["60", "80"])
def test_help_keeps_to_the_terminals_width(columns: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert max(map(len, command_line.usage().splitlines())) <= int(columns)
