"""What the checks measured on the way goes into the tests' reports."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from probes import checking


@pytest.fixture(autouse=True)
def _measured(record_property: Callable[[str, object], None]) -> None:
    """Have each run's rows, hooks and ns per event noted with the test that makes it.

    The list is there before the test's report is, and fills while the test runs.
    """
    checking.measurements = []
    record_property("runs", checking.measurements)
