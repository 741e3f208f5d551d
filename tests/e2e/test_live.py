"""Live views in JupyterLab, in a real browser: they move, obey while a cell runs, and end.

What they looked like is left in out/screenshots/.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")

from e2e.needs import IN_A_BROWSER
from integration.support.held_maps import any_left, held_maps
from integration.support.notebook_kernel import becomes
from playwright.sync_api import Locator, expect

from tools.browser.jupyter_lab import Lab, opened
from tools.browser.live_view import events, press, status

pytestmark = IN_A_BROWSER

OPENS = 23
NAME = f"/tmp/kernelscope-test-{time.time_ns() % 10**9}"
CELLS = {
    "load": "%load_ext kernelscope",
    "files": f"%ebpf live opensnoop --pid {os.getpid()}",
    "busy": "import time\nfor _ in range(600): time.sleep(0.1)",
    "kept": "print(len(live), set(live.path))",
    "stacks": "%ebpf live profile --theme dark",
    "mistake": "%ebpf live opensnoop --veiw table",
    "two": "%ebpf live runqlat biolatency --view heatmap",
    "done": "print('done')",
}
NUMBERS = {name: number for number, name in enumerate(CELLS)}
FILES = "opens"  # opensnoop's map in the kernel


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    with opened(folder, list(CELLS.values()), viewport={"width": 1000, "height": 1400}) as made:
        made.run(NUMBERS["load"])
        made.folder = folder  # type: ignore[attr-defined]
        yield made


def view(lab: Lab, cell: str) -> Locator:
    return lab.output(NUMBERS[cell])


def open_some(path: str = NAME) -> None:
    """Open a file that is there and one that is not, so often each."""
    for _ in range(OPENS):
        os.close(os.open("/dev/null", os.O_RDONLY))
        with suppress(FileNotFoundError):
            os.open(path, os.O_RDONLY)


def test_bars_move_under_a_load(lab: Lab):
    lab.run(NUMBERS["files"])
    shown = view(lab, "files")
    expect(status(shown)).to_contain_text("opensnoop running")
    before = shown.locator("img").screenshot()
    open_some()

    assert becomes(lambda: events(shown) >= OPENS, within_s=20)
    assert becomes(lambda: shown.locator("img").screenshot() != before, within_s=20)
    expect(status(shown)).to_contain_text("0 lost")
    expect(status(shown)).to_contain_text("frames per second")


def test_the_latest_rows_can_be_searched(lab: Lab):
    shown = view(lab, "files")
    shown.locator("select").nth(2).select_option(label="Opens: latest rows")
    open_some()
    shown.get_by_placeholder("filter rows by words").fill(NAME)

    expect(shown.locator("td", has_text=NAME).first).to_be_visible()
    expect(shown.locator("td", has_text="/dev/null")).to_have_count(0)


def test_a_filter_is_an_option_of_the_view(lab: Lab):
    shown = view(lab, "files")
    press(shown, "options")
    shown.locator("label", has_text="failed").locator("input").check()
    expect(status(shown)).to_contain_text("opensnoop running")
    assert becomes(lambda: events(shown) == 0, within_s=20)
    open_some()

    assert becomes(lambda: events(shown) == OPENS, within_s=20)


def test_buttons_respond_and_tables_are_kept_while_a_cell_runs(lab: Lab):
    lab.send(NUMBERS["busy"])
    shown = view(lab, "files")
    press(shown, "pause")
    expect(status(shown)).to_contain_text("paused")
    press(shown, "pause")
    expect(status(shown)).to_contain_text("running")
    press(shown, "save")
    press(shown, "CSV")
    expect(shown.locator(".kernelscope-message")).to_contain_text("wrote ")
    press(shown, "to DataFrame")
    expect(shown.locator(".kernelscope-message")).to_contain_text(f"{OPENS} rows of opens")
    press(shown, "stop")
    expect(status(shown)).to_contain_text("opensnoop stopped")
    expect(lab.cell(NUMBERS["busy"]).locator(".jp-InputPrompt").first).to_have_text("[*]:")
    lab.press("notebook:interrupt-kernel")
    lab.ended(NUMBERS["busy"])

    assert lab.run(NUMBERS["kept"]).inner_text().strip() == f"{OPENS} {{'{NAME}'}}"
    (written,) = lab.folder.glob("opensnoop-opens-*.csv")  # type: ignore[attr-defined]
    assert written.read_text().count(NAME) == OPENS


def test_start_attaches_again_and_reset_clears(lab: Lab):
    shown = view(lab, "files")
    press(shown, "start")
    expect(status(shown)).to_contain_text("opensnoop running")
    open_some()
    assert becomes(lambda: events(shown) == OPENS, within_s=20)
    press(shown, "reset")

    assert becomes(lambda: events(shown) == 0, within_s=20)


def test_the_flame_graph_keeps_its_zoom_while_samples_come(lab: Lab):
    lab.run(NUMBERS["stacks"])
    page = view(lab, "stacks").frame_locator("iframe")
    page.locator(".box").nth(1).wait_for()
    widest = page.locator(".box").evaluate_all(
        "boxes => boxes.slice(1).reduce((a, b) => a.offsetWidth >= b.offsetWidth ? a : b).title"
    )
    name = widest.partition(":")[0]
    page.locator(f'.box[title^="{name}:"]').first.dispatch_event("click")
    expect(page.locator("#status")).to_contain_text(f"zoomed to {name}")
    said = page.locator("#status").inner_text()

    assert becomes(lambda: page.locator("#status").inner_text() != said, within_s=20)
    expect(page.locator("#status")).to_contain_text(f"zoomed to {name}")
    page.locator("#reset").click()
    expect(page.locator("#status")).not_to_contain_text("zoomed")
    press(view(lab, "stacks"), "stop")


def test_a_mistake_is_shown_by_the_cell(lab: Lab):
    shown = lab.run(NUMBERS["mistake"]).inner_text()

    assert "there is no option --veiw" in shown


def test_two_probes_share_a_time_axis_and_rerunning_the_cell_ends_them(lab: Lab):
    lab.run(NUMBERS["two"])
    shown = view(lab, "two")
    expect(shown.locator("img")).to_have_count(2)
    expect(status(shown)).to_contain_text("runqlat running")
    expect(status(shown)).to_contain_text("biolatency running")
    before = held_maps(os.getpid(), "latency")  # of both probes
    assert len(before) == 2
    lab.run(NUMBERS["two"])
    expect(status(view(lab, "two"))).to_contain_text("runqlat running")

    assert becomes(lambda: not any_left(before), within_s=20)
    assert lab.run(NUMBERS["done"]).inner_text().strip() == "done"


def test_a_restarted_kernel_leaves_nothing_attached(lab: Lab):
    held = held_maps(os.getpid(), FILES)
    assert held
    lab.press("notebook:restart-kernel")
    lab.page.locator(".jp-Dialog .jp-mod-accept").click()

    assert becomes(lambda: not any_left(held), within_s=20)
    shown = view(lab, "files")
    expect(shown.locator(".kernelscope-stale")).to_be_visible(timeout=20_000)
    expect(shown.locator(".kernelscope-current")).not_to_be_visible()
    lab.ready()  # a server that is stopped while it restarts a kernel never ends
