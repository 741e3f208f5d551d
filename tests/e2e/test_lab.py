"""JupyterLab in a real browser: what a person sees, types and presses.

What the cells looked like is left in out/screenshots/.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")

from e2e.needs import IN_A_BROWSER
from integration.support.notebook_kernel import becomes, maps
from playwright.sync_api import expect

from tools.browser.jupyter_lab import Lab, opened

pytestmark = IN_A_BROWSER

CALLS = 23
TABLE = f"c{time.time_ns() % 10**9}"  # like no other on the machine
COUNT = f"""BPF_HASH({TABLE}, u32);
TRACEPOINT_PROBE(syscalls, sys_enter_getpgid) {{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    {TABLE}.increment(pid);
    return 0;
}}"""
CELLS = {
    "load": "%load_ext kernelscope",
    "list": "%ebpf",
    "count": f"%%ebpf -d 3 -o counted --pid {os.getpid()}\n{COUNT}",
    "probe": "%ebpf runqlat -d 1 -o waits --quiet",
    "plot": "waits.ks.plot()",
    "lossy": """%%ebpf -d 1 --ring 4k
BPF_RINGBUF_OUTPUT(events, 1);
RAW_TRACEPOINT_PROBE(sys_enter) {
    u64 now = bpf_ktime_get_ns();
    for (int i = 0; i < 600; i++) events.ringbuf_output(&now, sizeof(now), 0);
    return 0;
}""",
    "mistake": f"%%ebpf -d 1\n{COUNT.replace('increment(pid)', 'increment(pdi)')}",
    "background": f"%%ebpf -d 60 --bg -o run\n{COUNT}",
    "stop": "run.stop()",
    "long": f"%%ebpf -d 300 --pid {os.getpid()}\n{COUNT}",
    "typed": "",
}
NUMBERS = {name: number for number, name in enumerate(CELLS)}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    with opened(folder, list(CELLS.values()), viewport={"width": 1000, "height": 1000}) as made:
        made.run(NUMBERS["load"])
        yield made


def call_some() -> None:
    for _ in range(CALLS):
        os.getpgid(0)


def test_each_area_of_the_listing_unfolds_to_a_table(lab: Lab):
    shown = lab.run(NUMBERS["list"])

    shown.locator("summary").filter(has_text="syscount").click()
    row = shown.get_by_role("row").filter(has_text="syscount")
    expect(row).to_contain_text("System calls")
    expect(row).to_contain_text("yes")


def test_a_cell_shows_progress_then_the_table_and_the_next_step(lab: Lab):
    cell = NUMBERS["count"]
    lab.send(cell)
    expect(lab.output(cell)).to_contain_text("s left")
    call_some()
    lab.ended(cell)

    expect(lab.output(cell).locator("td")).to_have_text([str(os.getpid()), str(CALLS)])
    expect(lab.output(cell).locator(".jp-OutputArea-child")).to_have_count(2)
    expect(lab.output(cell)).to_contain_text("next: ")


def test_a_plot_is_a_picture(lab: Lab):
    lab.run(NUMBERS["probe"])

    expect(lab.run(NUMBERS["plot"]).locator("img")).to_be_visible()


def test_losses_are_in_a_box_above_the_result(lab: Lab):
    shown = lab.run(NUMBERS["lossy"])

    expect(shown.get_by_text("Lost events.")).to_be_visible()
    expect(shown).to_contain_text("--ring 64M")
    expect(shown.locator("table.dataframe")).to_be_visible()


def test_a_mistake_is_shown_in_few_lines_with_a_caret_at_the_cells_own_line(lab: Lab):
    lines = lab.run(NUMBERS["mistake"]).inner_text().splitlines()

    assert lines[0] == "CompileError: use of undeclared identifier 'pdi'"
    assert lines[1] == f"     5 |     {TABLE}.increment(pdi);"
    assert lines[2].index("^") == lines[1].index("pdi")
    assert len(lines) <= 6


def test_a_background_run_shows_its_progress(lab: Lab):
    shown = lab.run(NUMBERS["background"])

    expect(shown).to_contain_text("running")
    expect(shown).to_contain_text("of 60 s")
    lab.run(NUMBERS["stop"])


def test_the_stop_button_ends_a_run_early_and_keeps_its_rows(lab: Lab):
    cell = NUMBERS["long"]
    lab.send(cell)
    expect(lab.output(cell)).to_contain_text("s left")
    call_some()
    lab.press("notebook:interrupt-kernel")
    lab.ended(cell)

    expect(lab.output(cell).locator("td")).to_have_text([str(os.getpid()), str(CALLS)])


def test_tab_completes_probe_names(lab: Lab):
    cell = NUMBERS["typed"]
    offered = lab.page.locator(".jp-Completer-item")
    lab.type(cell, "%ebpf ")
    lab.page.keyboard.press("Tab")
    expect(offered.filter(has_text="biolatency")).to_be_visible()

    lab.page.keyboard.press("Escape")
    lab.type(cell, "%ebpf sysc")
    lab.page.keyboard.press("Tab")
    expect(offered).to_have_count(1)
    lab.page.keyboard.press("Enter")
    expect(lab.cell(cell).locator(".cm-content")).to_have_text("%ebpf syscount")


def test_a_restart_in_the_middle_of_a_run_leaves_nothing_attached(lab: Lab):
    cell = NUMBERS["long"]
    lab.send(cell)
    expect(lab.output(cell)).to_contain_text("s left")
    assert TABLE in maps()

    lab.press("notebook:restart-kernel")
    lab.page.locator(".jp-Dialog .jp-mod-accept").click()

    assert becomes(lambda: TABLE not in maps(), within_s=10)
    lab.ready()
    lab.run(NUMBERS["load"])
    expect(lab.run(NUMBERS["list"])).to_contain_text("syscount")
