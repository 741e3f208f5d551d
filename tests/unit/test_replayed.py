"""A recording gives the same DataFrames each time, and a cut one what is whole and says so."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest

import kernelscope
from kernelscope import tables
from kernelscope.errors import LostEventsWarning, RecordingError

RECORDINGS = sorted((Path(__file__).parents[2] / "notebooks/recordings").glob("*.ksr"))
each = pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)

_DIGEST = """
import hashlib, sys
from pathlib import Path
import kernelscope
from kernelscope import export, tables
folder, *paths = sys.argv[1:]
for path in paths:
    for name, table in tables.by_name(kernelscope.open(path)).items():
        written = export.to_arrow(table, Path(folder) / "table.arrow")
        print(path, name, hashlib.sha256(written.read_bytes()).hexdigest())
"""


def opened(path: Path) -> dict[str, pd.DataFrame]:
    return tables.by_name(kernelscope.open(path))


def rows(found: dict[str, pd.DataFrame]) -> int:
    return sum(len(table) for table in found.values())


def test_two_processes_make_the_same_bytes_of_them(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _DIGEST, str(tmp_path), *map(str, RECORDINGS)]
    first, second = (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in "ab"
    )

    assert first == second
    assert first.count("\n") >= len(RECORDINGS) > 0


@each
def test_two_replays_are_equal_to_the_last_bit(path: Path) -> None:
    first, second = opened(path), opened(path)

    assert list(first) == list(second)
    for name, table in first.items():
        pd.testing.assert_frame_equal(table, second[name], check_exact=True)
        assert pickle.dumps(table.attrs) == pickle.dumps(second[name].attrs)


@each
def test_a_cut_recording_gives_what_is_whole_and_says_so(path: Path, tmp_path: Path) -> None:
    whole, data, cut = rows(opened(path)), path.read_bytes(), tmp_path / "cut.ksr"
    given = 0
    for share in (0.2, 0.5, 0.8, 0.99):
        cut.write_bytes(data[: int(len(data) * share)])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                given += rows(opened(cut)) <= whole
            except RecordingError:  # so little that no table can be told
                continue
        said = [str(each.message) for each in caught if each.category is LostEventsWarning]
        assert any("is whole only up to byte" in text for text in said)
    assert given
