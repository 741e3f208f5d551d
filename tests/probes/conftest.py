"""What the checks measured on the way goes into the tests' reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from probes import checking


@pytest.fixture(autouse=True)
def measured(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Note each run's rows, hooks and ns per event with the test that made it."""
    checking.receipts.clear()
    yield
    runs = [checking.measurement(receipt) for receipt in checking.receipts]
    if runs:
        record_property("runs", runs)
