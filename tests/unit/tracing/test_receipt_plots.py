"""A table keeps the plots that its probe proposes, wherever it is drawn."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from unit.builders.fake_agent import EVENTS, FakeChannel, attached, events, receipt, session

import kernelscope
from kernelscope.probe import catalogue
from kernelscope.probe.model import Column, Plot, TableSpec

BYTES = Plot("bars", x="pid", value="size_bytes", title="Bytes by process", top=3)
CUSTOM = replace(
    catalogue.find("opensnoop"),
    name="custom",
    tables=(
        TableSpec("events", "events", (Column("pid", "pid"), Column("size_bytes", "integer"))),
    ),
    plots=(BYTES,),
)
_TITLE = """
import sys, kernelscope
from kernelscope import accessor
accessor.register()
print([text.get_text() for text in kernelscope.read(sys.argv[1]).ks.plot().findobj(match=lambda a:
       hasattr(a, "get_text")) if text.get_text() == "Bytes by process"])
"""


def test_a_saved_table_of_a_custom_probe_is_drawn_the_same_in_another_process(
    tmp_path: Path,
) -> None:
    frames = [attached(EVENTS), events((7, 10), (8, 20)), receipt()]
    df = session(FakeChannel(frames)).run(CUSTOM, duration=1)
    (path,) = kernelscope.save(df, tmp_path / "custom.parquet")
    shown = subprocess.run(
        [sys.executable, "-c", _TITLE, str(path)], capture_output=True, text=True, check=True
    )

    assert shown.stdout == "['Bytes by process']\n"


def test_a_recording_keeps_the_plots(tmp_path: Path) -> None:
    path = tmp_path / "custom.ksr"
    frames = [attached(EVENTS), events((7, 10)), receipt()]
    session(FakeChannel(frames)).run(CUSTOM, duration=1, record=path)

    found = kernelscope.open(path).attrs["kernelscope"]["plots"]
    assert [Plot(**each) for each in found] == [BYTES]
    assert json.loads(json.dumps(found)) == found


def test_a_recording_without_plots_leaves_them_to_the_catalogue() -> None:
    path = Path(__file__).parents[3] / "notebooks/recordings/biolatency.ksr"

    assert "plots" not in kernelscope.open(path).attrs["kernelscope"]
