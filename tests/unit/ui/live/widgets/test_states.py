"""A live view's states: a change that fails, a view that is idle, one whose kernel has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from unit.builders.fake_agent import COUNTS, EVENTS, FakeChannel, attached, counts, events, session

from kernelscope.errors import AttachError, ParameterError
from kernelscope.ui.live import open
from kernelscope.ui.live.tracer import Tracer
from kernelscope.ui.live.widgets import status
from kernelscope.ui.live.widgets.panel import Panel
from kernelscope.ui.live.widgets.track import Track

EVENTS_C = "BPF_RINGBUF_OUTPUT(events, 8);"
REFUSED = AttachError("vfsstat: the kernel has none of its hooks")


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def running(*others: FakeChannel) -> tuple[Tracer, FakeChannel]:
    """Return a tracer of a running run; the next runs get the other channels."""
    channel = FakeChannel([attached(EVENTS), events((7, 100), (8, 5))], held=True)
    made = session(channel, *others)
    return Tracer(made, "cell", run=made.start(source=EVENTS_C)), channel


class TestChange:
    def test_keeps_the_run_and_its_name_where_the_new_probe_is_refused(self):
        tracer, channel = running(FakeChannel([], error=REFUSED))
        counter = tracer.counter
        tracer.change("vfsstat", {})
        until(lambda: bool(tracer.error))

        assert (tracer.name, tracer.state, tracer.counter) == ("cell", "running", counter)
        assert "none of its hooks" in tracer.problem
        assert not channel.stopped
        assert not channel.closed
        tracer.close()

    @pytest.mark.parametrize("options", [{"pid": "abc"}, {"by": "colour"}, {"nothing": 1}])
    def test_changes_nothing_where_an_option_is_wrong(self, options):
        tracer, channel = running()
        with pytest.raises(ParameterError):
            tracer.change("runqlat", options)

        assert (tracer.name, tracer.state, tracer.options) == ("cell", "running", {})
        assert not channel.stopped
        tracer.close()

    def test_shows_the_error_and_the_name_of_the_probe_that_runs(self):
        tracer, _ = running(FakeChannel([], error=REFUSED))
        track = Track(tracer, (600, 300))
        track.picker.value = "vfsstat"
        until(lambda: bool(tracer.error))
        track.report()

        assert "none of its hooks" in track.message.value
        assert track.picker.value == "cell"
        assert status.facts(tracer).text().startswith("cell running")
        tracer.close()

    def test_offers_all_probes_again_where_the_name_is_deleted(self):
        tracer, _ = running()
        track = Track(tracer, (600, 300))
        track.picker.value = "slow disk"
        assert "biolatency" in track.picker.options
        assert "syscount" not in track.picker.options
        track.picker.value = ""

        assert "syscount" in track.picker.options
        tracer.close()

    def test_reports_the_probe_that_is_starting(self):
        text = status.Facts("opensnoop", "running", 12, 1, pending="vfsstat").text()

        assert text.startswith("opensnoop running · 12 events")
        assert "starting vfsstat" in text


@pytest.fixture
def panel() -> Iterator[Panel]:
    """Yield the view of a map's rows, running."""
    at = time.monotonic_ns()
    channel = FakeChannel([attached(COUNTS), counts({1: 3}, at_ns=at, final=False)], held=True)
    made = session(channel)
    tracer = Tracer(made, "cell", run=made.start(source="BPF_HASH(counts, u32);"))
    view = Panel([Track(tracer, (600, 300), kind="table")], rate=30)
    view.start()
    until(lambda: bool(view.tracks[0].screen._rows.value))
    yield view
    view.close()


class TestIdle:
    def test_sends_and_draws_nothing_after_a_stop(self, panel: Panel):
        track = panel.tracks[0]
        panel.stop()
        until(lambda: track.tracer.settled)
        time.sleep(0.3)  # the last frame and report
        sent: list[str] = []
        for widget in (panel._sent, panel._status, track.screen._rows, track.message):
            widget.observe(lambda change: sent.append(change["name"]), "value")
        drawn: list[float] = []

        def draw(_theme: object, now: float) -> bool:
            drawn.append(now)
            return False

        track.draw = draw  # type: ignore[method-assign]
        time.sleep(1.5)

        assert sent == []
        assert drawn == []
        assert panel.loop._thread is not None
        assert panel.loop._thread.is_alive()

    def test_draws_again_after_an_action(self, panel: Panel):
        track = panel.tracks[0]
        panel.stop()
        until(lambda: track.tracer.settled)
        time.sleep(0.3)
        before = track.screen._rows.value
        track.screen._words.value = "no such word"
        until(lambda: track.screen._rows.value != before)

    def test_asks_a_page_for_an_answer_where_no_frame_changes(self, panel: Panel):
        panel._sent_at = time.monotonic() - 60
        before = panel._sent.value
        until(lambda: panel._sent.value > before)


class TestStatus:
    def test_sends_its_last_state_when_it_is_stopped(self, panel: Panel):
        panel.loop.stop()  # a kernel that ends at once lets no thread report again
        until(lambda: not panel.loop._thread.is_alive())
        panel.stop()

        assert "cell stopped" in panel._status.value
        assert "running" not in panel._status.value

    def test_replaces_itself_where_no_newer_one_comes(self):
        at = datetime(2026, 1, 2, 3, 4, 5)
        html = status.as_html(["runqlat running"], lost=False, running=True, at=at)

        assert "animation: kernelscope-hide" in html
        assert "not updated since 03:04:05: the kernel of this view has ended" in html

    def test_stays_true_where_nothing_runs(self):
        html = status.as_html(["<b> stopped"], lost=False, running=False, at=datetime.now())

        assert "animation" not in html
        assert "&lt;b&gt; stopped" in html

    def test_is_sent_again_while_a_view_runs(self, panel: Panel):
        panel._status_at = 0.0
        before = panel._status.value
        until(lambda: panel._status.value != before)


class TestDisplay:
    def test_is_displayed_once_by_its_cell_and_by_every_other_one(self, panel, monkeypatch):
        shown: list[object] = []
        execution = ["first"]
        monkeypatch.setattr(open, "_execution", lambda: execution[0])
        monkeypatch.setattr("IPython.display.display", shown.append)
        view = open.LiveView(panel, "first")
        view._ipython_display_()
        assert shown == []

        execution[0] = "second"
        view._ipython_display_()
        view._ipython_display_()
        assert shown == [panel.widget, panel.widget]
