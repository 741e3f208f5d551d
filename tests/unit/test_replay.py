"""Recordings that stand in for live runs, and the marks that say so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kernelscope
from kernelscope import catalogue, marks
from kernelscope.errors import RecordingError
from kernelscope.replay import Replay
from kernelscope.session import Session

RECORDINGS = Path(__file__).parents[2] / "notebooks" / "recordings"


@pytest.fixture
def replaying(monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("KERNELSCOPE_REPLAY", str(RECORDINGS))
    return Session()


@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("*.ksr")), ids=lambda path: path.stem)
def test_every_recording_still_decodes(path: Path) -> None:
    result = kernelscope.open(path)
    tables = [result] if hasattr(result, "columns") else list(result.values())
    assert sum(len(table) for table in tables) > 0


def test_every_probe_of_the_quickstart_has_a_recording() -> None:
    text = (RECORDINGS.parent / "quickstart.ipynb").read_text(encoding="utf-8")
    named = set(re.findall(r"%ebpf (\w+)", text)) & set(catalogue.names())
    assert named
    assert named <= {path.stem for path in RECORDINGS.glob("*.ksr")}


def test_recordings_are_small_enough_for_a_repository() -> None:
    assert max(path.stat().st_size for path in RECORDINGS.glob("*.ksr")) < 256 << 10


def test_a_probes_recording_stands_in_for_a_run_without_an_agent(replaying: Session) -> None:
    result = replaying.run("biolatency", duration=3)
    assert result.attrs["kernelscope"]["recorded"] is True
    assert not replaying.started


def test_a_cells_recording_is_found_by_its_text_alone(replaying: Session) -> None:
    source = Replay(RECORDINGS / "written.ksr").request.program.source
    assert len(replaying.run(source=source, duration=60)) > 0


def test_a_text_that_was_not_recorded_is_an_error_that_names_the_folder(
    replaying: Session,
) -> None:
    with pytest.raises(RecordingError, match="has no recording of this C text"):
        replaying.run(source="BPF_HASH(other, u32);", duration=1)


def test_a_mark_says_where_and_when_it_was_recorded() -> None:
    receipt = {"host": "web1", "kernel": {"release": "6.1.0"}, "started": "2026-01-02T03:04:05"}
    assert (
        marks.sentence(receipt)
        == "recorded on web1, Linux 6.1.0, 2026-01-02; not measured on this machine"
    )


def test_a_table_without_a_receipt_is_marked_all_the_same() -> None:
    assert "not measured on this machine" in marks.sentence(None)


def test_the_recordings_of_several_probes_stand_in_for_a_run_of_all(replaying: Session) -> None:
    results = replaying.run(["runqlat", "biolatency"], duration=3)
    assert list(results) == ["runqlat", "biolatency"]
    assert results.receipt["recorded"] is True
    assert not replaying.started
