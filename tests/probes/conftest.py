"""Adds what the checks measured to the tests' reports."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from probes import checking


@pytest.fixture(autouse=True)
def _measured(record_property: Callable[[str, object], None]) -> None:
    """Record each run's rows, hooks and ns per event with its test.

    The list exists before the test's report, and is filled while the test runs.
    """
    checking.measurements = []
    record_property("runs", checking.measurements)
