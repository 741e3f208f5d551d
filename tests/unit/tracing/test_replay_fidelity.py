"""A recording gives the same DataFrames each time; a truncated one, its complete part."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest
from unit.io import open_on_another_system

import kernelscope
from kernelscope.errors import LostEventsWarning, RecordingError
from kernelscope.tables import results

RECORDINGS = sorted((Path(__file__).parents[3] / "notebooks/recordings").glob("*.ksr"))
each = pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)

_DIGEST = """
import hashlib, sys
from pathlib import Path
import kernelscope
from kernelscope.io import tabular
from kernelscope.tables import results
folder, *paths = sys.argv[1:]
for path in paths:
    for name, table in results.by_name(kernelscope.open(path)).items():
        written = tabular.to_arrow(table, Path(folder) / "table.arrow")
        print(path, name, hashlib.sha256(written.read_bytes()).hexdigest())
"""


def opened(path: Path) -> dict[str, pd.DataFrame]:
    return results.by_name(kernelscope.open(path))


def rows(found: dict[str, pd.DataFrame]) -> int:
    return sum(len(table) for table in found.values())


def test_two_processes_make_the_same_bytes_of_them(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _DIGEST, str(tmp_path), *map(str, RECORDINGS)]
    first, second = (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in "ab"
    )

    assert first == second
    assert first.count("\n") >= len(RECORDINGS) > 0


def test_another_system_makes_the_same_bytes_of_them() -> None:
    """Without modules and calls of Linux, in another time zone: see open_on_another_system.py."""
    script = str(Path(open_on_another_system.__file__))
    command = [sys.executable, script, *map(str, RECORDINGS)]
    environment = {**os.environ, "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    there = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    ).stdout
    here = [
        f"{path.stem} {' '.join(open_on_another_system.digests(str(path)))}" for path in RECORDINGS
    ]

    assert there.splitlines() == here


@each
def test_two_replays_are_equal_to_the_last_bit(path: Path) -> None:
    first, second = opened(path), opened(path)

    assert list(first) == list(second)
    for name, table in first.items():
        pd.testing.assert_frame_equal(table, second[name], check_exact=True)
        assert pickle.dumps(table.attrs) == pickle.dumps(second[name].attrs)


def cuts(path: Path) -> list[int]:
    """At, just before and just after where each block begins and ends, and in its middle."""
    data = path.read_bytes()
    at, found = data.index(b"\n") + 1, set()
    while at < len(data):
        stored = struct.unpack_from("<I", data, at)[0]
        found |= {at - 1, at, at + 1, at + 11, at + 12 + stored // 2}
        at += 12 + stored
    return sorted(found | {len(data) - 1})


@each
def test_a_cut_recording_replays_its_whole_frames_and_warns(path: Path, tmp_path: Path) -> None:
    whole, data, cut = rows(opened(path)), path.read_bytes(), tmp_path / "cut.ksr"
    places = cuts(path)
    given = []
    for end in places[:: max(1, len(places) // 40)] + places[-1:]:
        cut.write_bytes(data[:end])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                given.append(rows(opened(cut)))
            except RecordingError:  # too little to recognize a table
                continue
        said = [str(each.message) for each in caught if each.category is LostEventsWarning]
        assert any("is whole only up to byte" in text for text in said), end
    assert given[-1] == whole  # the last block describes the run and has no rows
