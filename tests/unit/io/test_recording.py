"""Recordings: what was recorded comes back, and damage is seen."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelscope.errors import LostEventsWarning, RecordingError
from kernelscope.io import recording
from kernelscope.protocol.frames import Frame

HEADER = {"program": "bio", "max_rows": None}
FRAMES = [
    Frame({"type": "attached", "layouts": [], "clock": {"monotonic_ns": 1, "realtime_ns": 2}}),
    Frame({"type": "batch", "table": "e", "stride": 48}, b"\0\n\xff" * 1000),
    Frame({"type": "map", "table": "m", "count": 1}, memoryview(b"k" * 12)),
    Frame({"type": "end"}),
]
PLAIN = [(frame.header, bytes(frame.payload)) for frame in FRAMES]


def made(path, frames=FRAMES, **options):
    with recording.Recorder(path, HEADER, **options) as recorder:
        for frame in frames:
            recorder.add(frame)
    return path


def replayed(path):
    return [(frame.header, bytes(frame.payload)) for frame in recording.replay(path)]


@pytest.mark.parametrize("compress", [False, True])
def test_header_and_frames_come_back(tmp_path, compress):
    path = made(tmp_path / "run.ks", compress=compress)
    assert recording.read_header(path) == HEADER
    assert replayed(path) == PLAIN


def test_compression_makes_it_smaller(tmp_path):
    plain = made(tmp_path / "a").stat().st_size
    assert made(tmp_path / "b", compress=True).stat().st_size < plain / 2


def test_it_says_what_it_is(tmp_path):
    assert made(tmp_path / "run").read_bytes().startswith(b"KernelScope recording 1\n")


@pytest.mark.parametrize("compress", [False, True])
def test_a_recording_cut_at_any_byte_replays_and_warns(tmp_path, compress):
    small = [FRAMES[0], Frame(FRAMES[1].header, b"\0\n\xff" * 50), *FRAMES[2:]]
    data = made(tmp_path / "run", small, compress=compress).read_bytes()
    plain = [(frame.header, bytes(frame.payload)) for frame in small]
    cut = tmp_path / "cut"
    found = []
    for end in range(len(data)):
        cut.write_bytes(data[:end])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                got = replayed(cut)
            except RecordingError:
                found.append(0)
                continue
        assert got == plain[: len(got)]
        assert [warning.category for warning in caught] == [LostEventsWarning]
        assert str(caught[0].message).startswith(f"{cut} is whole only up to byte ")
        found.append(len(got))
    assert found == sorted(found)
    assert set(found) == {0, 1, 2, 3}


@given(st.data())
def test_a_changed_byte_is_seen(tmp_path_factory, data):
    path = made(tmp_path_factory.mktemp("rec") / "run", compress=data.draw(st.booleans()))
    raw = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            got = replayed(path)
        except RecordingError:
            return
    assert got == PLAIN[: len(got)]
    assert len(caught) == 1


@given(st.binary(max_size=200))
def test_any_bytes_after_the_magic_are_survived(tmp_path_factory, junk):
    path = tmp_path_factory.mktemp("rec") / "run"
    path.write_bytes(b"KernelScope recording 1\n" + junk)
    with pytest.raises(RecordingError, match="nothing in the recording"):
        list(recording.replay(path))


def test_a_block_that_unpacks_to_more_than_a_frame_is_refused(tmp_path, monkeypatch):
    path = made(tmp_path / "run", compress=True)
    monkeypatch.setattr(recording, "_LARGEST", 1000)
    with pytest.warns(LostEventsWarning, match="more than a recording of this size"):
        assert len(replayed(path)) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a KernelScope recording"),
        (b"time,pid\n1,2\n", "is not a KernelScope recording"),
        (pickle.dumps({"a": 1}), "is not a KernelScope recording"),
        (b"KernelScope recording 9\n" + b"x" * 99, "not a recording that this version reads"),
    ],
)
def test_refuses_a_file_that_is_no_recording(tmp_path, content, message):
    path = tmp_path / "run"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=message) as caught:
        recording.read_header(path)
    assert caught.value.hint


def test_reports_a_missing_file(tmp_path):
    with pytest.raises(RecordingError, match="No such file"):
        list(recording.replay(tmp_path / "none"))


def test_reports_a_path_that_cannot_be_written(tmp_path):
    with pytest.raises(RecordingError, match="No such file or directory"):
        recording.Recorder(tmp_path / "none" / "run", HEADER)


def test_reports_a_full_disk(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("this machine has no /dev/full")
    with pytest.raises(RecordingError, match="No space left"):
        recording.Recorder("/dev/full", HEADER)
