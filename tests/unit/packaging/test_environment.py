"""environment.yml and pyproject.toml name the same packages."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {
        *project["dependencies"],
        *project["optional-dependencies"]["lab"],
        "python" + project["requires-python"],
    }


def in_environment() -> set[str]:
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    return {item for item in listed if isinstance(item, str)} - {"pip"}


def plain(requirements: set[str]) -> set[str]:
    """The same with trailing zeros of versions left out: 2.0 and 2 are one version."""
    return {item.removesuffix(".0") for item in requirements}


def test_conda_environment_holds_what_pyproject_requires() -> None:
    assert plain(in_environment()) == plain(declared())


def test_conda_environment_installs_the_project_itself() -> None:
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert {"pip": ["-e ."]} in listed
