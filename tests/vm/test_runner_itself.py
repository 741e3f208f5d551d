"""For script/test-kernels --self-test: one test of each fate that the runner must tell apart."""

from __future__ import annotations

import time
from pathlib import Path

import pytest


def test_passes() -> None:
    assert Path("/out/run.sh").exists()


def test_fails() -> None:
    assert Path("/nowhere").exists(), "a test that fails on purpose"


@pytest.mark.skip(reason="a test that is skipped on purpose")
def test_is_skipped() -> None:
    pass


def test_hangs() -> None:
    Path("/dev/console").write_text("about to hang on purpose\n")
    time.sleep(3600)
