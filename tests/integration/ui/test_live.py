"""Live views on the real kernel, in a real IPython kernel; this process is the page."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.support.notebook_kernel import Notebook, alive, becomes, kill, maps

pytestmark = pytest.mark.kernel

CALLS = 503
FILES, WAITS = "opens", "latency"  # maps of opensnoop and runqlat
OPENER = f"""
import os, sys
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
    """A process that opens a file so many times when told to."""

    def __init__(self) -> None:
        command = [sys.executable, "-I", "-S", "-c", OPENER]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def open_all(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
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
    """Let the notebook itself wait: the view goes on while this cell runs."""
    notebook.do(WAIT.format(condition=condition))


def begin(notebook: Notebook, line: str) -> None:
    notebook.do(f"%ebpf live {line} -o seen\ntracer = seen.panel.tracks[0].tracer")
    wait_until(notebook, "tracer.state == 'running'")


def test_every_event_counts_and_can_be_kept(notebook: Notebook, opener: Opener):
    begin(notebook, f"opensnoop --pid {opener.pid}")
    opener.open_all()
    wait_until(notebook, f"tracer.engine.counted == {CALLS}")

    assert (
        notebook.do("print(tracer.engine.events, sum(tracer.run.lost.values()))") == f"{CALLS} 0\n"
    )
    wait_until(notebook, "seen.panel.tracks[0].chosen is not None")  # until it is drawn
    notebook.do("seen.panel._name.value = 'kept'\nseen.panel._to_frame()")
    assert notebook.do("print(len(kept), set(kept.path))") == f"{CALLS} {{'/dev/null'}}\n"
    notebook.do("seen.close()")
    assert becomes(lambda: FILES not in maps(), within_s=10)


def test_a_map_counts_by_the_difference_of_its_readings(notebook: Notebook, opener: Opener):
    begin(notebook, f"syscount --pid {opener.pid}")
    opener.open_all()
    tops = "tracer.engine.reducers['calls'].tops['syscall'].total"
    wait_until(notebook, f"{tops}.get('openat') == {CALLS}")

    assert notebook.do(f"print({tops}['openat'], {tops}['close'])") == f"{CALLS}.0 {CALLS}.0\n"
    notebook.do("seen.panel._clear()")
    wait_until(notebook, "tracer.engine.readings > 5")
    assert notebook.do(f"print({tops}.get('openat'))") == "None\n"
    notebook.do("seen.close()")


def test_a_view_writes_nothing_into_other_cells(notebook: Notebook):
    begin(notebook, "runqlat --by comm --view bars")
    wait_until(notebook, "len(seen.panel.tracks[0].screen.png) > 0")

    assert notebook.do("import time\ntime.sleep(1)\nprint('mine alone')") == "mine alone\n"
    assert notebook.do("print(seen.panel.tracks[0].screen.png[:4])") == "b'\\x89PNG'\n"
    notebook.do("seen.stop()")
    assert becomes(lambda: WAITS not in maps(), within_s=10)


def test_what_goes_wrong_is_said_in_the_view_and_the_others_go_on(notebook: Notebook):
    begin(notebook, "runqlat")
    notebook.do("tracer.given = {'by': 'colour'}\ntracer.start()")
    wait_until(notebook, "'--by colour' in seen.panel.tracks[0].said.value")

    assert notebook.do("print(tracer.state)") == "failed\n"
    notebook.do("seen.close()")


def test_a_run_in_the_background_can_be_looked_at(notebook: Notebook, opener: Opener):
    notebook.do(f"%ebpf opensnoop -d 60 --bg --pid {opener.pid} -o run\nseen = run.live()")
    notebook.do("tracer = seen.panel.tracks[0].tracer")
    opener.open_all()
    wait_until(notebook, f"tracer.engine.counted == {CALLS}")
    notebook.do("run.stop()")
    wait_until(notebook, "tracer.state == 'ended'")

    assert notebook.do("print(len(run.result()))") == f"{CALLS}\n"


def test_a_killed_notebook_leaves_nothing_attached(tmp_path: Path):
    made = Notebook(tmp_path)
    try:
        begin(made, "runqlat opensnoop")
        wait_until(made, "all(t.tracer.state == 'running' for t in seen.panel.tracks)")
        assert {FILES, WAITS} <= maps()
        pid = made.pid
        kill(pid)

        assert becomes(lambda: not alive(pid), within_s=10)
        assert becomes(lambda: not {FILES, WAITS} & maps(), within_s=10)
    finally:
        made.close()


def test_views_are_refused_where_they_could_not_be_shown():
    code = "import kernelscope; kernelscope.live('runqlat')"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )

    assert "a live view needs a notebook" in found.stderr
