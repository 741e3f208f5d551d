"""What the tests in a browser share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

OUT = Path(__file__).resolve().parents[2] / "out" / "screenshots"


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave what the page looked like at a test's end in out/screenshots/."""
    lab = request.getfixturevalue("lab")
    yield
    OUT.mkdir(parents=True, exist_ok=True)
    lab.page.screenshot(path=OUT / f"{request.node.name}.png")
