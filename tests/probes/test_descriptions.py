"""Every probe is two complete files: formatted C, and its description."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from unit.builders import requests

from kernelscope.agent.source import prelude_trim
from kernelscope.probe import catalogue, resolve
from kernelscope.probe.model import Probe
from kernelscope.protocol import hook_spec
from kernelscope.protocol.probe_folder import probe_folder
from tools.record import probe_records
from workloads import probes

PROBES = catalogue.catalogue()
PICTURES = probe_records.PATH.parent / "probes"
SOURCES = sorted(probe_folder().rglob("*.[ch]"))
_MEASURES = {"duration", "slot"}
_UNIT = re.compile(r"_(ns|us|ms|s|bytes)\Z")

every_probe = pytest.mark.parametrize("probe", PROBES.values(), ids=list(PROBES))


def test_every_c_file_has_a_description_and_the_reverse() -> None:
    root = probe_folder()

    assert {p.with_suffix("") for p in root.glob("*/*.c")} == {
        p.with_suffix("") for p in root.glob("*/*.toml")
    }


@every_probe
def test_the_description_is_complete(probe: Probe) -> None:
    assert len(probe.summary) <= 90
    assert not probe.summary.endswith(".")
    assert len(probe.description) >= 100
    assert len(probe.keywords) >= 4
    assert probe.answers
    assert probe.caveats
    assert all(caveat.endswith(".") for caveat in probe.caveats)
    assert probe.plots
    assert probe.overhead.ns_per_event
    assert probe.overhead.note


@every_probe
def test_every_column_has_a_description(probe: Probe) -> None:
    for table in probe.tables:
        assert table.help
        for column in table.columns:
            assert column.help, column.name
            if column.kind in _MEASURES and not any(p.kind == "format" for p in probe.parameters):
                assert column.unit, column.name
            named = _UNIT.search(column.name)
            assert (named[1] if named else "") == column.unit, column.name


@every_probe
def test_every_parameter_has_a_description_and_a_range(probe: Probe) -> None:
    for parameter in probe.parameters:
        assert parameter.help
        if parameter.kind in ("integer", "float"):
            assert parameter.minimum is not None
            assert parameter.maximum is not None


def with_macros(source: str) -> str:
    """Return the text with the parts of the prelude that it uses, directly or not."""
    return source + prelude_trim.needed(
        (probe_folder() / "include" / "kernelscope.h").read_text(), source
    )


@every_probe
def test_every_parameter_is_used(probe: Probe) -> None:
    hooked = " ".join(spec for hook in probe.hooks for spec in hook.any_of)
    for parameter in probe.parameters:
        used = {
            "param": f"KS_PARAM({parameter.name})" in with_macros(probe.source),
            "define": parameter.name.upper() in probe.source,
            "client": f"{{{parameter.name}}}" in hooked,
            "hook": f"{{{parameter.name}}}" in hooked,
            "format": f"KS_PARAM({parameter.name}_0)" in probe.source,
            "condition": f"KS_PARAM({parameter.name}_number)" in probe.source,
        }
        by_kind = parameter.kind in ("hook", "format", "condition")
        chooses_hooks = any(parameter.name in hook.when for hook in probe.hooks)
        assert chooses_hooks or used[parameter.kind if by_kind else parameter.passed], (
            parameter.name
        )


@every_probe
def test_every_hook_is_valid_and_its_function_exists(probe: Probe) -> None:
    for hook in resolve.usual_hooks(probe):
        assert re.search(rf"^int {hook.function}\(", probe.source, re.MULTILINE), hook.function
        for spec in hook.any_of:
            hook_spec.parse(spec)


@every_probe
def test_plots_use_existing_columns(probe: Probe) -> None:
    for plot in probe.plots:
        table = next(table for table in probe.tables if table.name == plot.table)
        columns = {column.name for column in table.columns}
        assert plot.title
        assert {plot.x, plot.y, plot.by, plot.value} - {""} <= columns


@every_probe
def test_the_example_is_real_output(probe: Probe) -> None:
    shown = set(probe.example.split())
    for column in probe.tables[0].columns:
        base = column.name.removesuffix(f"_{column.unit}")
        low = f"{base}_low_{column.unit}" if column.unit else f"{base}_low"
        assert shown & {column.name, low} or column.when, column.name


@every_probe
def test_the_check_has_a_load_of_a_prime_number_of_events(probe: Probe) -> None:
    assert probe.check.load in probes.names()
    assert probe.check.expect
    assert probe.check.events > 1
    assert all(probe.check.events % divisor for divisor in range(2, probe.check.events))


@every_probe
def test_the_check_is_run_by_a_test_of_the_probes_area(probe: Probe) -> None:
    files = Path(__file__).parent.glob(f"test_{probe.area}*.py")
    text = "".join(path.read_text() for path in files)

    assert re.search(rf"^def test_{probe.name}_", text, re.MULTILINE)
    assert f'"{probe.check.load}"' in text


def recorded(probe: Probe) -> list[dict[str, Any]]:
    """Return a probe's entries in docs/probes.json, by kernel."""
    return [
        kernel["probes"].get(probe.name, {}) for kernel in probe_records.read()["kernels"].values()
    ]


@pytest.mark.skipif(not any(PICTURES.glob("*.png")), reason="no probe has been recorded yet")
@every_probe
def test_there_is_a_picture_of_a_run(probe: Probe) -> None:
    picture = PICTURES / f"{probe.name}.png"
    if not picture.is_file() and any("refused" in row for row in recorded(probe)):
        pytest.skip("the kernel that was recorded on refuses it")
    assert picture.is_file(), f"run script/record-probes {probe.name}"
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert picture.stat().st_size < 64 << 10


@pytest.mark.skipif(not probe_records.PATH.is_file(), reason="no probe has been recorded yet")
@every_probe
def test_the_cost_was_recorded_with_the_current_hooks(probe: Probe) -> None:
    rows = recorded(probe)
    measured = [row for row in rows if "overhead" in row or "refused" in row]
    assert measured, f"run script/record-probes {probe.name}"
    specs = {hook for row in rows for hook in row.get("hooks", ())}
    options = {name: value for name, value in probe.check.options.items() if "{" not in str(value)}
    asked = requests.of_probe(probe, {**probe.needed(), **options}).program.hooks
    kinds = {spec.partition(":")[0] for hook in asked for spec in hook.any_of}
    assert {hook.partition(":")[0] for hook in specs} <= kinds


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_the_c_is_formatted(source: Path) -> None:
    if shutil.which("clang-format") is None:
        pytest.skip("clang-format is not installed")
    wanted = subprocess.run(
        ["clang-format", str(source)], capture_output=True, text=True, check=True
    )

    assert source.read_text() == wanted.stdout
