"""Live views on the real kernel, in a real IPython kernel; this process plays the page."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.support.held_maps import any_left, held_maps
from integration.support.notebook_kernel import Notebook, alive, becomes, kill

pytestmark = pytest.mark.kernel

CALLS = 503
FILES, WAITS = "opens", "latency"  # maps of opensnoop and runqlat
OPENER = f"""
import os, sys
print(flush=True)
sys.stdin.readline()
for _ in range({CALLS}):
    os.close(os.open("/dev/null", os.O_RDONLY))
print(flush=True)
sys.stdin.readline()
"""
WAIT = """
import time
end = time.monotonic() + 20
while ({condition}) is False and time.monotonic() < end:
    time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    made = Notebook(tmp_path_factory.mktemp("live"))
    yield made
    made.close()


class Opener:
    """A process that opens a file `CALLS` times on request."""

    def __init__(self) -> None:
        command = [sys.executable, "-I", "-S", "-c", OPENER]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer()  # Python opens files until it has started

    @property
    def pid(self) -> int:
        return self.process.pid

    def open_all(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self._answer()

    def _answer(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def opener() -> Iterator[Opener]:
    made = Opener()
    yield made
    made.close()


def wait_until(notebook: Notebook, condition: str) -> None:
    """Wait inside the notebook: the view keeps running while this cell runs."""
    notebook.do(WAIT.format(condition=condition))


def ends(notebook: Notebook, code: str, table: str) -> None:
    """Run a cell that ends a view, and check that the view's program goes."""
    held = held_maps(notebook.agent, table)
    assert held
    notebook.do(code)
    assert becomes(lambda: not any_left(held), within_s=10)


def start(notebook: Notebook, line: str) -> None:
    notebook.do(f"%ebpf live {line} -o seen\ntracer = seen.panel.tracks[0].tracer")
    wait_until(notebook, "tracer.state == 'running'")


def test_counts_every_event_and_keeps_the_rows(notebook: Notebook, opener: Opener):
    start(notebook, f"opensnoop --pid {opener.pid}")
    opener.open_all()
    wait_until(notebook, f"tracer.counter.counted == {CALLS}")

    assert (
        notebook.do("print(tracer.counter.events, sum(tracer.run.lost.values()))") == f"{CALLS} 0\n"
    )
    wait_until(notebook, "seen.panel.tracks[0].chosen is not None")  # set by the first drawing
    notebook.do("seen.panel._name.value = 'kept'\nseen.panel._to_frame()")
    assert notebook.do("print(len(kept), set(kept.path))") == f"{CALLS} {{'/dev/null'}}\n"
    ends(notebook, "seen.close()", FILES)


def test_counts_a_map_by_the_difference_of_its_readings(notebook: Notebook, opener: Opener):
    start(notebook, f"syscount --pid {opener.pid}")
    opener.open_all()
    notebook.do("from kernelscope.ui.live.counting.shape import Grouping")
    tops = "tracer.counter.aggregates['calls'].tops[Grouping('syscall', 'count')].total"
    wait_until(notebook, f"{tops}.get('openat') == {CALLS}")

    assert notebook.do(f"print({tops}['openat'], {tops}['close'])") == f"{CALLS}.0 {CALLS}.0\n"
    notebook.do("seen.panel._clear()")
    wait_until(notebook, "tracer.counter.readings > 5")
    assert notebook.do(f"print({tops}.get('openat'))") == "None\n"
    notebook.do("seen.close()")


def test_writes_nothing_into_other_cells(notebook: Notebook):
    start(notebook, "runqlat --by comm --view bars")
    wait_until(notebook, "len(seen.panel.tracks[0].screen.png) > 0")

    assert notebook.do("import time\ntime.sleep(1)\nprint('only this')") == "only this\n"
    assert notebook.do("print(seen.panel.tracks[0].screen.png[:4])") == "b'\\x89PNG'\n"
    ends(notebook, "seen.stop()", WAITS)


def test_continues_with_the_old_probe_where_the_new_one_is_refused(
    notebook: Notebook, opener: Opener
):
    start(notebook, f"opensnoop --pid {opener.pid}")
    notebook.do("tracer.change('funccount', {'function': 'uprobe:c:no_such_function'})")
    wait_until(notebook, "'no_such_function' in seen.panel.tracks[0].message.value")

    assert notebook.do("print(tracer.name, tracer.state)") == "opensnoop running\n"
    opener.open_all()
    wait_until(notebook, f"tracer.counter.counted == {CALLS}")
    notebook.do("seen.close()")


def test_detaches_the_old_probe_once_the_new_one_runs(notebook: Notebook):
    start(notebook, "opensnoop")
    notebook.do("old = tracer.run\nseen.panel.tracks[0].picker.value = 'runqlat'")
    wait_until(notebook, "tracer.name == 'runqlat' and not old.running")

    assert notebook.do("print(tracer.state)") == "running\n"
    wait_until(notebook, "seen.panel.tracks[0].chosen.kind == 'distribution'")
    notebook.do("seen.close()")


def test_shows_a_run_that_was_started_in_the_background(notebook: Notebook, opener: Opener):
    notebook.do(f"%ebpf opensnoop -d 60 --bg --pid {opener.pid} -o run")
    notebook.do("seen = run.live()")
    notebook.do("tracer = seen.panel.tracks[0].tracer")
    opener.open_all()
    wait_until(notebook, f"tracer.counter.counted == {CALLS}")
    notebook.do("run.stop()")
    wait_until(notebook, "tracer.state == 'ended'")

    assert notebook.do("print(len(run.result()))") == f"{CALLS}\n"


def test_detaches_when_the_notebook_is_killed(tmp_path: Path):
    made = Notebook(tmp_path)
    try:
        start(made, "runqlat opensnoop")
        wait_until(made, "all(t.tracer.state == 'running' for t in seen.panel.tracks)")
        held = held_maps(made.agent, FILES), held_maps(made.agent, WAITS)
        assert all(held)
        pid = made.pid
        kill(pid)

        assert becomes(lambda: not alive(pid), within_s=10)
        assert becomes(lambda: not any_left(set().union(*held)), within_s=10)
    finally:
        made.close()


def test_refuses_a_view_outside_a_notebook():
    code = "import kernelscope; kernelscope.live('runqlat')"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )

    assert "a live view needs a notebook" in found.stderr
