"""The live view in Notebook 7, in a real browser: it starts, moves, pauses and ends as elsewhere.

What it looked like is left in out/screenshots/.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytest.importorskip("notebook", reason="Notebook 7 is not installed")

from e2e.needs import IN_A_BROWSER
from integration.support.held_maps import any_left, held_maps
from integration.support.notebook_kernel import becomes
from playwright.sync_api import Locator, expect

from tools.browser.jupyter_lab import NOTEBOOK_7, Lab, opened
from tools.browser.live_view import drawn, events, press, status

pytestmark = IN_A_BROWSER

OPENS = 29
CELLS = (
    "%load_ext kernelscope",
    f"%ebpf live opensnoop --pid {os.getpid()}",
    "print('done')",
    "import time\nfor _ in range(600): time.sleep(0.1)",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("notebook")
    size = {"width": 1000, "height": 1000}
    with opened(folder, CELLS, app=NOTEBOOK_7, viewport=size) as made:
        made.run(0)
        made.run(1)
        yield made


@pytest.fixture
def view(lab: Lab) -> Locator:
    return lab.output(1)


def open_some() -> None:
    for _ in range(OPENS):
        os.close(os.open("/dev/null", os.O_RDONLY))


def test_in_notebook_7_the_view_moves_under_a_load(view: Locator):
    expect(status(view)).to_contain_text("opensnoop running")
    before = events(view), drawn(view)
    open_some()

    assert becomes(lambda: events(view) >= before[0] + OPENS, within_s=20)
    assert becomes(lambda: drawn(view) != before[1], within_s=20)
    expect(status(view)).to_contain_text("0 lost")


def test_in_notebook_7_pause_freezes_the_picture_but_not_the_events(view: Locator):
    press(view, "pause")
    expect(status(view)).to_contain_text("paused")
    before = events(view), drawn(view)
    open_some()

    assert becomes(lambda: events(view) >= before[0] + OPENS, within_s=20)
    assert drawn(view) == before[1]
    press(view, "pause")
    assert becomes(lambda: drawn(view) != before[1], within_s=20)


def test_in_notebook_7_buttons_respond_while_a_cell_runs(lab: Lab, view: Locator):
    lab.send(3)
    press(view, "pause")
    expect(status(view)).to_contain_text("paused")
    press(view, "pause")
    expect(status(view)).to_contain_text("opensnoop running")
    expect(lab.cell(3).locator(".jp-InputPrompt").first).to_have_text("[*]:")
    lab.press("notebook:interrupt-kernel")
    lab.ended(3)


def test_in_notebook_7_stop_detaches_and_other_cells_run(lab: Lab, view: Locator):
    held = held_maps(os.getpid(), "opens")
    assert held
    press(view, "stop")
    expect(status(view)).to_contain_text("opensnoop stopped")

    assert becomes(lambda: not any_left(held), within_s=20)
    assert lab.run(2).inner_text().strip() == "done"
