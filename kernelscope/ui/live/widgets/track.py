"""One probe's line in a live view: which probe, which view of it, its options, and the screen."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from kernelscope.errors import ParameterError
from kernelscope.plotting.theme import Theme
from kernelscope.probe import catalogue, search
from kernelscope.ui.live.tracer import Tracer
from kernelscope.ui.live.views import View, chosen
from kernelscope.ui.live.widgets import comm_routing, status
from kernelscope.ui.live.widgets.controls import Controls
from kernelscope.ui.live.widgets.screen import Screen


class Track:
    """A tracer with its widgets.

    kind, label: which view to begin with, None and "" for the probe's own. bare: without a row of
    controls. acted: called when the person did something that the whole view must know of.
    """

    def __init__(
        self,
        tracer: Tracer,
        size: tuple[int, int],
        *,
        kind: str | None = None,
        label: str = "",
        bare: bool = False,
        acted: Callable[[], None] = lambda: None,
    ) -> None:
        self.tracer = tracer
        self.screen = Screen(tracer, size, bare=bare)
        self._kind = kind
        self._label = label
        self._acted = acted
        self._views: list[View] = []
        self._chosen: View | None = None
        self._settled: tuple[int, View | None, str, float] | None = None
        self._filling = self._wrong = False
        self._controls: Controls | None = None
        self.picker = widgets.Combobox(
            value=tracer.name,
            options=catalogue.names(),
            placeholder="a probe's name, or a question",
            tooltip="Which probe: its name, or words to search for (slow disk)",
            continuous_update=False,
            layout=widgets.Layout(width="190px"),
        )
        self.view = widgets.Dropdown(
            options=[], tooltip="What to look at", layout=widgets.Layout(width="300px")
        )
        self.open = widgets.ToggleButton(
            description="options", icon="sliders", layout=widgets.Layout(width="96px")
        )
        self.said = widgets.HTML()
        self._options = widgets.VBox([], layout=widgets.Layout(display="none"))
        self.row = widgets.HBox([self.picker, self.view, self.open])
        shown = [self.said, self.screen.widget]
        shown = shown if bare else [self.row, self._options, *shown]
        self.widget = widgets.VBox(shown, layout=widgets.Layout(flex="0 0 auto"))
        comm_routing.anywhere(self.widget)
        self.picker.observe(self._picked, "value")
        self.view.observe(self._chose, "value")
        self.open.observe(self._opened, "value")

    @property
    def chosen(self) -> View | None:
        """The view that is shown; None before the first start."""
        return self._chosen

    def draw(self, theme: Theme, now: float) -> bool:
        """Bring the screen up to date; False where nothing could have changed."""
        engine = self.tracer.engine
        if engine is None or not self._known():
            return False
        view = self.chosen
        running = self.tracer.state == "running"
        settled = (id(engine), view, theme.name, engine.window_s)
        if view is None or (not running and settled == self._settled and view.kind != "table"):
            return False
        if running:
            engine.advance()
        self.screen.draw(engine, view, theme, engine.window_s, now)
        self._settled = None if running else settled
        return True

    def report(self) -> None:
        """Show what went wrong, where something did."""
        problem = self.tracer.problem
        if problem:
            self.say(problem, wrong=True)
            self._wrong = True
        elif self._wrong:
            self._wrong, self.said.value = False, ""

    def say(self, text: str, *, wrong: bool = False) -> None:
        """Show a message above the picture."""
        shown = status.message(text, wrong=wrong)
        if shown != self.said.value:
            self.said.value = shown

    # --- what the person does --------------------------------------------------------------------

    def _picked(self, change: dict[str, Any]) -> None:
        name = str(change["new"]).strip()
        if name in catalogue.names():
            self.picker.options = catalogue.names()
            self._become(name)
            return
        if not name:
            self.picker.options = catalogue.names()
            return
        found = search.search(name)
        self.picker.options = [each.name for each in found] or catalogue.names()
        self.say("\n".join(f"{each.name}: {each.summary}" for each in found) or "nothing found")

    def _become(self, name: str) -> None:
        if name == self.tracer.name:
            return
        self.tracer.stop()
        self.tracer.name, self.tracer.given, self.tracer.begin = name, {}, None
        self._kind, self._label, self._controls = None, "", None
        self._views, self._chosen = [], None
        self.said.value = ""
        if self.open.value:
            self._fill_options()
        self.tracer.start()
        self._acted()

    def _chose(self, change: dict[str, Any]) -> None:
        place = change["new"]
        if not self._filling and place is not None:
            self._chosen = self._views[place]
            self._kind, self._label = self._chosen.kind, self._chosen.label

    def _opened(self, change: dict[str, Any]) -> None:
        if change["new"]:
            self._fill_options()
        self._options.layout.display = None if change["new"] else "none"

    def _fill_options(self) -> None:
        probe = self.tracer.probe
        if probe is None:
            self._options.children = [widgets.HTML("C of one's own has no options to change here")]
            return
        if self.tracer.begin is not None:
            self._options.children = [widgets.HTML("what was recorded cannot be asked anew")]
            return
        if self._controls is None:
            self._controls = Controls(probe, self.tracer.given, self._changed)
        told = widgets.HTML(f"<small>{html.escape(probe.summary)}</small>")
        comm_routing.anywhere(self._controls.widget)
        self._options.children = [told, self._controls.widget]

    def _changed(self) -> None:
        if self._controls is None or self._controls.given == self.tracer.given:
            return
        self.tracer.given = self._controls.given
        if self.tracer.state in ("running", "starting", "failed"):
            self.tracer.start()
        self._acted()

    # --- which views there are -------------------------------------------------------------------

    def _known(self) -> bool:
        """Learn the views of a run that has begun, and offer them."""
        views = self.tracer.views
        if views == self._views or not views:
            return bool(views)
        try:
            first = chosen(views, self._kind, self._label)
        except ParameterError as error:
            self._kind = None
            first = views[0]
            self.say(f"{error.message}; {error.hint}", wrong=True)
        self._views, self._chosen, self._filling = views, first, True
        try:
            self.view.options = [(view.title, place) for place, view in enumerate(views)]
            self.view.value = views.index(first)
        finally:
            self._filling = False
        return True
