"""One probe of a live view: the controls for the probe, its view and its options; its screen."""

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

    kind, label: the view to start with; None and "" for the probe's own. bare: without controls.
    acted: called after each action that the whole panel must know of.
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
        self._drawn_last: tuple[int, View | None, str, float] | None = None
        self._filling = self._wrong = False
        self._controls: Controls | None = None
        self.picker = widgets.Combobox(
            value=tracer.name,
            options=catalogue.names(),
            placeholder="a probe's name or a question",
            tooltip="Probe: its name, or words to search for (slow disk)",
            continuous_update=False,
            layout=widgets.Layout(width="190px"),
        )
        self.view = widgets.Dropdown(
            options=[], tooltip="View", layout=widgets.Layout(width="340px")
        )
        self.open = widgets.ToggleButton(
            description="options",
            icon="sliders",
            tooltip="Show the probe's options",
            layout=widgets.Layout(width="96px"),
        )
        self.message = widgets.HTML()
        self._options = widgets.VBox([], layout=widgets.Layout(display="none"))
        self.row = widgets.HBox([self.picker, self.view, self.open])
        shown = [self.message, self.screen.widget]
        shown = shown if bare else [self.row, self._options, *shown]
        self.widget = widgets.VBox(shown, layout=widgets.Layout(flex="0 0 auto"))
        comm_routing.answer_in_subshell(self.widget)
        self.picker.observe(self._picked, "value")
        self.view.observe(self._chose, "value")
        self.open.observe(self._opened, "value")

    @property
    def chosen(self) -> View | None:
        """The view that is shown; None before the first start."""
        return self._chosen

    def draw(self, theme: Theme, now: float) -> bool:
        """Draw the screen; return False where nothing can have changed."""
        counter = self.tracer.counter
        if counter is None or not self._list_views():
            return False
        view = self.chosen
        running = self.tracer.state == "running"
        shown = (id(counter), view, theme.name, counter.window_s)
        if view is None or (not running and shown == self._drawn_last and view.kind != "table"):
            return False
        if running:
            counter.advance()
        self.screen.draw(counter, view, theme, counter.window_s, now)
        self._drawn_last = None if running else shown
        return True

    def report(self) -> None:
        """Show the tracer's error, if there is one."""
        problem = self.tracer.problem
        if problem:
            self.show_message(problem, wrong=True)
            self._wrong = True
        elif self._wrong:
            self._wrong, self.message.value = False, ""

    def show_message(self, text: str, *, wrong: bool = False) -> None:
        """Show a message above the picture."""
        shown = status.message(text, wrong=wrong)
        if shown != self.message.value:
            self.message.value = shown

    # --- the user's actions ----------------------------------------------------------------------

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
        self.show_message(
            "\n".join(f"{each.name}: {each.summary}" for each in found)
            or "no probe fits these words"
        )

    def _become(self, name: str) -> None:
        if name == self.tracer.name:
            return
        self.tracer.stop()
        self.tracer.name, self.tracer.options, self.tracer.open_run = name, {}, None
        self._kind, self._label, self._controls = None, "", None
        self._views, self._chosen = [], None
        self.message.value = ""
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
            self._options.children = [widgets.HTML("A cell's own C has no options to change here.")]
            return
        if self.tracer.open_run is not None:
            self._options.children = [widgets.HTML("The options of a recording cannot be changed.")]
            return
        if self._controls is None:
            self._controls = Controls(probe, self.tracer.options, self._changed)
        summary = widgets.HTML(f"<small>{html.escape(probe.summary)}</small>")
        comm_routing.answer_in_subshell(self._controls.widget)
        self._options.children = [summary, self._controls.widget]

    def _changed(self) -> None:
        if self._controls is None or self._controls.options == self.tracer.options:
            return
        self.tracer.options = self._controls.options
        if self.tracer.state in ("running", "starting", "failed"):
            self.tracer.start()
        self._acted()

    # --- the list of views ------------------------------------------------------------------------

    def _list_views(self) -> bool:
        """Offer the views of a run that has started; return whether there are any."""
        views = self.tracer.views
        if views == self._views or not views:
            return bool(views)
        try:
            first = chosen(views, self._kind, self._label)
        except ParameterError as error:
            self._kind = None
            first = views[0]
            self.show_message(f"{error.message}; {error.hint}", wrong=True)
        self._views, self._chosen, self._filling = views, first, True
        try:
            self.view.options = [(view.entry, place) for place, view in enumerate(views)]
            self.view.value = views.index(first)
        finally:
            self._filling = False
        return True
