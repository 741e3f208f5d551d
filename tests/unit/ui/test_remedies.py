"""Remedies: commands for every family of distributions, this machine's first."""

from __future__ import annotations

import platform

import pytest

from kernelscope.ui import remedies

ALL = set(remedies.FAMILIES)


@pytest.mark.parametrize("requirement", sorted(remedies.REMEDIES))
def test_a_remedy_serves_every_family(requirement: str) -> None:
    given = remedies.commands(requirement, "debian")
    assert set(given) in (ALL, {"any"})
    assert all(given.values())


@pytest.mark.parametrize("family", sorted(ALL))
def test_the_family_of_the_machine_is_first(family: str) -> None:
    assert next(iter(remedies.commands("bcc", family))) == family


@pytest.mark.parametrize(
    ("release", "family"),
    [
        ({"ID": "debian"}, "debian"),
        ({"ID": "ubuntu", "ID_LIKE": "debian"}, "debian"),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "debian"),
        ({"ID": "fedora"}, "fedora"),
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "fedora"),
        ({"ID": "manjaro", "ID_LIKE": "arch"}, "arch"),
        ({"ID": "alpine"}, "alpine"),
        ({"ID": "somethingelse"}, "debian"),
    ],
)
def test_family_is_read_from_os_release(
    release: dict[str, str], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: release)
    assert remedies.family() == family


def test_without_os_release_the_family_is_debian(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent() -> dict[str, str]:
        raise OSError("no os-release")

    monkeypatch.setattr(platform, "freedesktop_os_release", absent)
    assert remedies.family() == "debian"


def test_an_unknown_requirement_is_an_error() -> None:
    with pytest.raises(KeyError):
        remedies.commands("no such thing")
