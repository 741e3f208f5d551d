"""The wheel carries everything that an installed KernelScope reads."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kernelscope.version import __version__

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Build the wheel and return the names of the files in it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*command, "--directory", str(folder)], cwd=ROOT, check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return set(wheel.namelist())


def test_every_probes_files_and_their_header_are_in_it(carried: set[str]) -> None:
    here = {str(path.relative_to(ROOT / "bpf")) for path in (ROOT / "bpf").glob("*/*.*")}
    assert here
    assert {f"kernelscope/_bpf/{name}" for name in here} <= carried


def test_every_data_file_of_the_package_is_in_it(carried: set[str]) -> None:
    data = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "kernelscope").glob("**/data/*")
        if path.is_file()
    }
    assert data
    assert data <= carried


def test_its_version_is_the_packages(carried: set[str]) -> None:
    assert f"kernelscope-{__version__}.dist-info/METADATA" in carried


def test_nothing_but_the_package_is_in_it(carried: set[str]) -> None:
    assert {name.split("/")[0].split("-")[0] for name in carried} == {"kernelscope"}
