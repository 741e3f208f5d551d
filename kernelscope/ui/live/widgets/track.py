"""One probe of a live view: the controls for the probe, its view and its options; its screen."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from kernelscope.errors import KernelScopeError, ParameterError
from kernelscope.plotting.theme import Theme
from kernelscope.probe import catalogue, search
from kernelscope.ui import messages
from kernelscope.ui.live.choose import View, chosen
from kernelscope.ui.live.tracer import Tracer
from kernelscope.ui.live.widgets import comm_routing, status
from kernelscope.ui.live.widgets.controls import Controls
from kernelscope.ui.live.widgets.screen import Screen


class Track:
    """A tracer with its widgets.

    kind, label: the view to start with; None and "" for the probe's own. bare: without controls.
    """

    def __init__(
        self,
        tracer: Tracer,
        size: tuple[int, int],
        *,
        kind: str | None = None,
        label: str = "",
        bare: bool = False,
    ) -> None:
        self.tracer = tracer
        self.acted: Callable[[], None] = lambda: None  # called when the screen must be drawn again
        self.screen = Screen(tracer, size, bare=bare, acted=lambda: self.acted())
        self._kind = kind
        self._label = label
        self._views: list[View] = []
        self._chosen: View | None = None
        self._drawn_last: tuple[int, View | None, str, float] | None = None
        self._filling = False
        self._name = tracer.name  # the probe that the controls are for
        self._problem = ""
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
        """Draw the screen; return whether the page was sent anything."""
        self._follow_tracer()
        counter = self.tracer.counter
        if counter is None or not self._list_views():
            return False
        view = self.chosen
        settled = self.tracer.settled
        shown = (id(counter), view, theme.name, counter.window_s)
        if view is None or (settled and shown == self._drawn_last and not self.screen.stale):
            return False
        if self.tracer.state == "running":
            counter.advance()
        if settled:
            self.screen.stale = True  # the last counts, however short ago the rows were drawn
        sent = self.screen.draw(counter, view, theme, counter.window_s, now)
        self._drawn_last = shown if settled else None
        return sent

    def report(self) -> None:
        """Show the tracer's error, if there is a new one, and the probe that it traces."""
        self._follow_tracer()
        problem = self.tracer.problem
        if problem == self._problem:
            return
        self._problem = problem
        self.show_message(problem, wrong=True)
        if problem and self.picker.value != self.tracer.name:
            self.picker.value = self.tracer.name  # the change failed

    def show_message(self, text: str, *, wrong: bool = False) -> None:
        """Show a message above the picture."""
        shown = status.message(text, wrong=wrong)
        if shown != self.message.value:
            self.message.value = shown

    # --- the user's actions ----------------------------------------------------------------------

    def _picked(self, change: dict[str, Any]) -> None:
        name = str(change["new"]).strip()
        if name and name in (self.tracer.name, self.tracer.pending):
            return
        if name in catalogue.names():
            self.picker.options = catalogue.names()
            self._change(name, {})
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

    def _change(self, name: str, options: dict[str, Any]) -> None:
        """Start a probe, or the same one with other options; say what is wrong with them."""
        try:
            self.tracer.change(name, options)
        except KernelScopeError as error:
            self.show_message(messages.error_text(error), wrong=True)
            self.picker.value = self.tracer.name

    def _follow_tracer(self) -> None:
        """Show the controls of the probe that the tracer has changed to."""
        if self.tracer.name == self._name:
            return
        self._name = self.tracer.name
        self._kind, self._label, self._controls = None, "", None
        self._views, self._chosen = [], None
        self.message.value = ""
        self.picker.value = self._name
        if self.open.value:
            self._fill_options()

    def _chose(self, change: dict[str, Any]) -> None:
        place = change["new"]
        if not self._filling and place is not None:
            self._chosen = self._views[place]
            self._kind, self._label = self._chosen.kind, self._chosen.label
            self.acted()

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
        if self._controls is None:
            return
        if self._controls.options == self.tracer.options:
            self.tracer.forget_error()
        elif self.tracer.state in ("running", "starting", "failed"):
            self._change(self.tracer.name, self._controls.options)
        else:
            self.tracer.options = self._controls.options

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
