"""Results and recordings are for their owner, and go to no place that another user chose."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from kernelscope import accessor
from kernelscope.errors import ExportError, RecordingError
from kernelscope.io.recording import Recorder

accessor.register()
TABLE = pd.DataFrame({"user_stack": ["main"], "count": [3]})
OTHER = 65534  # nobody


def export(path: Path) -> None:
    TABLE.ks.save(path)


def record(path: Path) -> None:
    Recorder(path, {}).close()


either = pytest.mark.parametrize(
    ("write", "suffix"), [(export, ".csv"), (export, ".html"), (record, ".ksr")]
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="another user's files need root")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder like /tmp."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


@either
def test_a_new_file_has_mode_0600(
    tmp_path: Path, write: Callable[[Path], None], suffix: str
) -> None:
    write(tmp_path / f"x{suffix}")

    assert {mode(path) for path in tmp_path.iterdir()} == {0o600}


@either
def test_a_file_that_is_written_again_keeps_its_mode(
    tmp_path: Path, write: Callable[[Path], None], suffix: str
) -> None:
    path = tmp_path / f"x{suffix}"
    path.touch()
    path.chmod(0o640)
    write(path)

    assert mode(path) == 0o640
    assert path.stat().st_size > 0


@as_root
@either
def test_another_users_link_in_a_shared_folder_is_not_followed(
    tmp_path: Path, shared: Path, write: Callable[[Path], None], suffix: str
) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    link = shared / f"x{suffix}"
    link.symlink_to(target)
    os.chown(link, OTHER, OTHER, follow_symlinks=False)

    with pytest.raises((ExportError, RecordingError), match="belongs to another user"):
        write(link)
    assert target.read_text() == "precious"


@as_root
def test_another_users_link_to_a_folder_is_not_followed_either(
    tmp_path: Path, shared: Path
) -> None:
    (shared / "results").symlink_to(tmp_path)
    os.chown(shared / "results", OTHER, OTHER, follow_symlinks=False)

    with pytest.raises(ExportError, match="results belongs to another user"):
        export(shared / "results" / "x.csv")


@as_root
def test_another_users_file_in_a_shared_folder_is_not_recorded_into(shared: Path) -> None:
    path = shared / "x.ksr"
    path.touch()
    os.chown(path, OTHER, OTHER)

    with pytest.raises(RecordingError, match="belongs to another user"):
        record(path)


@either
def test_follows_the_users_own_link(
    tmp_path: Path, shared: Path, write: Callable[[Path], None], suffix: str
) -> None:
    (tmp_path / f"real{suffix}").touch()
    link = shared / f"x{suffix}"
    link.symlink_to(Path("..") / f"real{suffix}")
    write(link)

    assert link.is_symlink()
    assert (tmp_path / f"real{suffix}").stat().st_size > 0


@pytest.mark.parametrize("where", ["pipe", "file"])
def test_standard_output_is_written_by_its_path(tmp_path: Path, where: str) -> None:
    code = (
        "import pandas; from kernelscope import accessor; accessor.register();"
        "from kernelscope.io.tabular import to_csv;"
        "to_csv(pandas.DataFrame({'a': [1]}), '/dev/stdout')"
    )
    path = tmp_path / "out.csv"
    with path.open("wb") as file:
        out = file if where == "file" else subprocess.PIPE
        run = subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (path.read_bytes() if where == "file" else run.stdout) == b"a\n1\n"
