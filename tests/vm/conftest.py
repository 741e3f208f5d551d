"""These tests run in a guest that script/test-kernels boots, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from vm.subject import Subject

if "KERNELSCOPE_GUEST" not in os.environ:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def subject() -> Iterator[Subject]:
    """One process whose work is counted."""
    with Subject() as process:
        yield process
