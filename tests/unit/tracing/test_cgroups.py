"""A cgroup is found by its path, its id or a container's id."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.builders import requests

from kernelscope.errors import ParameterError
from kernelscope.probe.catalogue import find
from kernelscope.protocol.program import Filters
from kernelscope.tracing import cgroups
from kernelscope.tracing.cgroups import Cgroup

CONTAINER = "4fa6e0f0c678"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out folders as a cgroup file system has them."""
    for name in ("user.slice/shell", f"system.slice/docker-{CONTAINER}ab.scope/init", "twin/a/b",
                 "twin/c/b"):  # fmt: skip
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(cgroups, "mount", lambda: tmp_path)
    monkeypatch.setattr(cgroups, "_INITIAL_NAMESPACE", Path("/proc/self/ns/cgroup").stat().st_ino)
    return tmp_path


@pytest.mark.parametrize("text", ["/user.slice/shell", "user.slice/shell/", "shell"])
def test_a_cgroup_is_found_by_its_path_or_its_name(tree: Path, text: str) -> None:
    number = (tree / "user.slice" / "shell").stat().st_ino
    assert cgroups.find(text) == Cgroup(number, 2, "/user.slice/shell")


def test_a_cgroup_is_found_by_its_whole_path_and_by_its_id(tree: Path) -> None:
    found = cgroups.find(tree / "user.slice")
    assert found.level == 1
    assert cgroups.find(found.id) == cgroups.find(str(found.id)) == found


def test_a_container_is_found_by_its_id(tree: Path) -> None:
    assert cgroups.find(CONTAINER).path == f"/system.slice/docker-{CONTAINER}ab.scope"


def test_the_root_is_a_cgroup_too(tree: Path) -> None:
    assert cgroups.find("/") == Cgroup(tree.stat().st_ino, 0, "/")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("/nowhere", "no such cgroup below"),
        ("/user.slice/../..", "no such cgroup below"),
        ("/etc", "no such cgroup below"),
        ("nosuch", "has that name"),
        ("b", r"2 cgroups have that name: /twin/a/b, /twin/c/b"),
        ("1", "has that id"),
        ("", "not the path or id of a cgroup"),
    ],
)
def test_an_unknown_cgroup_is_an_error(tree: Path, text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        cgroups.find(text)


def test_reports_a_machine_without_cgroups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "mount", lambda: None)
    with pytest.raises(ParameterError, match="--cgroup /x: no cgroups of version 2 are mounted"):
        requests.of_probe(find("syscount"), {"cgroup": "/x"}, where="cli")


def test_refuses_a_cgroup_namespace(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_INITIAL_NAMESPACE", 1)
    with pytest.raises(ValueError, match="a cgroup namespace"):
        cgroups.find("/")


def test_every_cgroup_but_the_root_is_offered(tree: Path) -> None:
    assert "/user.slice/shell" in cgroups.names()
    assert "/." not in cgroups.names()


def test_passes_the_filter_to_the_agent_or_to_the_c(tree: Path) -> None:
    number = (tree / "user.slice").stat().st_ino
    given = {"cgroup": "/user.slice"}
    assert requests.of_probe(find("syscount"), given).program.filters == Filters(
        cgroup=number, cgroup_level=1
    )
    assert requests.of_probe(find("runqlat"), given).program.params["filter_cgroup"] == number


@pytest.mark.parametrize("name", ["biolatency", "tcplife"])
def test_a_probe_that_has_no_task_to_ask_refuses_a_cgroup(tree: Path, name: str) -> None:
    with pytest.raises(ParameterError, match=f"{name} cannot tell"):
        requests.of_probe(find(name), {"cgroup": "/user.slice"})
