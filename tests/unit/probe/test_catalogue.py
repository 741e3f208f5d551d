"""Loading probes: the existing ones, and the errors for an invalid one."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.builders import requests

from kernelscope.errors import ProbeNotFoundError, ProbeSpecError
from kernelscope.probe import catalogue, loader
from kernelscope.ui import help
from kernelscope.ui.command_line import parser

GOOD = """
area = "block"
discloses = "names"
summary = "Something"
description = "Some text"
duration_s = 5
filters = "none"
example = "a b"
[overhead]
level = "low"
ns_per_event = 12
[[hook]]
function = "on_it"
any_of = ["profile:hz:{hz}"]
[[parameter]]
name = "hz"
kind = "integer"
default = 99
passed = "client"
help = "Samples per second"
[[table]]
name = "latency"
map = "latency"
[[table.column]]
name = "operation"
kind = "enum"
names = { 0 = "read", 1 = "write" }
[[plot]]
kind = "bars"
table = "latency"
[check]
load = "reads"
events = 23
expect = "23"
"""


def load(folder: Path, text: str, source: str = "int x;") -> object:
    area = folder / "block"
    area.mkdir(exist_ok=True)
    (area / "thing.c").write_text(source)
    (area / "thing.toml").write_text(text)
    return loader.load(area / "thing.toml")


def test_a_probe_is_read_from_its_two_files(tmp_path: Path):
    probe = load(tmp_path, GOOD)

    assert (probe.name, probe.area, probe.source) == ("thing", "block", "int x;")  # type: ignore[attr-defined]
    assert probe.tables[0].columns[0].names == {0: "read", 1: "write"}  # type: ignore[attr-defined]
    assert probe.hooks[0].specs(probe.defaults()) == ("profile:hz:99",)  # type: ignore[attr-defined]


BAD = [
    ('area = "block"', 'area = "network"', "area is 'network', but the folder is 'block'"),
    ('summary = "Something"', "", "summary is missing"),
    ('summary = "Something"', 'sumary = "Something"', "summary is missing"),
    ('summary = "Something"', 'summary = ""', "summary must not be empty"),
    ("duration_s = 5", "duration = 5", "duration is not known; did you mean duration_s?"),
    ("duration_s = 5", 'duration_s = "5"', "duration_s must be a number"),
    ("duration_s = 5", "duration_s = 0", "duration_s must be more than 0"),
    ("duration_s = 5", "duration_s = true", "duration_s must be a number"),
    ('filters = "none"', 'filters = "some"', "'some' is not one of: task, code, none"),
    ('level = "low"', 'level = "tiny"', "overhead.level 'tiny' is not one of"),
    ('kind = "integer"', 'kind = "int"', "parameter[0].kind 'int' is not one of"),
    ('kind = "integer"', 'kind = "choice"', "parameter[0].choices are required for kind"),
    ("default = 99", "", "names {hz}, which is not a parameter with a default"),
    (
        'kind = "enum"',
        'kind = "enumeration"',
        "table[0].column[0].kind 'enumeration' is not one of",
    ),
    ('kind = "enum"', 'kind = "btf_enum"', "table[0].column[0].enum is missing"),
    ("{ 0 =", "{ zero =", "table[0].column[0].names must map numbers to words"),
    (
        'table = "latency"\n[check]',
        'table = "other"\n[check]',
        "plot[0].table 'other' is not one of",
    ),
    ("events = 23", 'events = "23"', "check.events must be a number"),
    ("[[hook]]", "[[hooks]]", "hook is missing (at least 1)"),
    ("[check]", "[check", "(at line"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD)
def test_a_wrong_description_names_the_file_and_the_key(
    tmp_path: Path, old: str, new: str, message: str
):
    assert old in GOOD
    with pytest.raises(ProbeSpecError) as caught:
        load(tmp_path, GOOD.replace(old, new))

    assert message in str(caught.value)
    assert "thing.toml" in str(caught.value)


def test_a_probe_without_its_c_is_an_error(tmp_path: Path):
    (tmp_path / "block").mkdir()
    path = tmp_path / "block" / "thing.toml"
    path.write_text(GOOD)

    with pytest.raises(ProbeSpecError, match=r"thing\.c: cannot be read"):
        loader.load(path)


def test_every_built_in_probe_loads_without_clashing_options():
    probes = catalogue.catalogue()

    assert list(probes) == sorted(probes, key=lambda name: (probes[name].area, name))
    assert set(probes) == set(catalogue.names())
    for probe in probes.values():
        assert parser(probe).format_help()


def test_a_misspelt_probe_brings_close_matches():
    with pytest.raises(ProbeNotFoundError, match="Did you mean syscount") as caught:
        catalogue.find("sycount")

    assert caught.value.details["matches"][0] == "syscount"


OWN = """
summary = "Mine"
[[hook]]
function = "on_it"
any_of = ["profile:hz:99"]
[[table]]
name = "seen"
map = "seen"
column = [{ name = "pid" }, { name = "count" }]
"""


def own(folder: Path, name: str, text: str = OWN) -> str:
    (folder / f"{name}.c").write_text("int x;")
    path = folder / f"{name}.toml"
    path.write_text(text)
    return str(path)


def test_a_custom_probe_is_found_by_its_file_and_then_by_its_name(tmp_path: Path):
    with pytest.raises(ProbeNotFoundError):
        catalogue.find("my_own_probe")
    probe = catalogue.find(own(tmp_path, "my_own_probe"))

    assert (probe.area, probe.description, probe.source) == ("own", "Mine", "int x;")
    assert catalogue.find("my_own_probe") is probe
    assert "my_own_probe" not in catalogue.names()
    assert requests.of_probe(probe, {"duration": 1}).name == "my_own_probe"
    assert "Mine" in help.probe_help(probe)


def test_a_changed_file_is_read_again(tmp_path: Path):
    catalogue.find(own(tmp_path, "my_changed_probe"))
    changed = own(tmp_path, "my_changed_probe", OWN.replace("Mine", "Mended"))

    assert catalogue.find(changed).summary == "Mended"
    assert catalogue.find("my_changed_probe").summary == "Mended"


def test_a_custom_file_is_checked_like_the_built_in_ones(tmp_path: Path):
    with pytest.raises(ProbeSpecError, match=r"sumary.*did you mean summary"):
        catalogue.find(own(tmp_path, "my_wrong_probe", "sumary = 1\n" + OWN))
    with pytest.raises(ProbeSpecError, match="no_such_file"):
        catalogue.find(str(tmp_path / "no_such_file.toml"))


def test_a_custom_file_cannot_have_a_built_in_name(tmp_path: Path):
    with pytest.raises(ProbeSpecError, match="name of a built-in probe"):
        catalogue.find(own(tmp_path, "biolatency"))
    assert catalogue.find("biolatency").summary != "Mine"


def test_c_instead_of_a_name_brings_the_right_argument() -> None:
    with pytest.raises(ProbeNotFoundError, match="this is C") as caught:
        catalogue.find("BPF_HASH(calls);\nint count(void *ctx) { return 0; }")
    assert "source=" in str(caught.value.hint)


def test_a_bpftrace_script_is_sent_to_its_cell_magic():
    with pytest.raises(ProbeNotFoundError) as caught:
        catalogue.find("./mine.bt")
    assert "%%bpftrace" in (caught.value.hint or "")
