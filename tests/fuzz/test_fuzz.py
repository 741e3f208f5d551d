"""A short fuzzing run of everything that reads data from outside; script/fuzz runs a long one."""

from __future__ import annotations

import os

import pytest

from tools.fuzz import campaign
from tools.fuzz.targets import TARGETS

INPUTS = int(os.environ.get("KERNELSCOPE_FUZZ_INPUTS", "101"))


@pytest.mark.parametrize("target", TARGETS)
def test_raises_only_documented_errors(target: str) -> None:
    found = campaign.run(target, seed=2, count=INPUTS)

    assert not found.errors, dict(found.errors)
    assert found.inputs == INPUTS
    assert found.slowest_s < 5
