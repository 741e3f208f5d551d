"""What is close to a name that does not exist."""

from __future__ import annotations

import pytest

from kernelscope.errors import did_you_mean

CALLS = ["sys_enter_preadv2", "sys_enter_preadv", "sys_enter_pread64", "sys_enter_read"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("sys_enter_pread", ["sys_enter_preadv", "sys_enter_preadv2", "sys_enter_pread64"]),
        ("sys_enter_raed", ["sys_enter_read"]),
        ("pread64", ["sys_enter_pread64"]),
        ("SYS_ENTER_REA", ["sys_enter_read"]),
        ("sy", ["sys_enter_preadv2"]),  # so short a beginning says nothing by itself
    ],
)
def test_what_goes_on_where_a_name_ends_comes_first(name: str, found: list[str]) -> None:
    assert did_you_mean(name, CALLS)[: len(found)] == found


def test_a_name_like_no_other_has_no_match() -> None:
    assert did_you_mean("malloc", CALLS) == []
