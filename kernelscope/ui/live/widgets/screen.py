"""Shows one view: a picture that is replaced, a table of rows, or a flame graph's page."""

from __future__ import annotations

import html
import secrets
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from kernelscope.analysis import stack_tree
from kernelscope.errors import AnalysisError
from kernelscope.plotting import flamegraph_page
from kernelscope.plotting.theme import Theme
from kernelscope.ui.live.choose import View
from kernelscope.ui.live.counting.counter import RunCounter
from kernelscope.ui.live.tracer import Tracer
from kernelscope.ui.live.views import PICTURES, Picture
from kernelscope.ui.live.widgets import comm_routing, row_table

_ROWS_EVERY_S = 0.5
_FLAMES_EVERY_S = 1.0
_NEWEST_FIRST = "(newest first)"
_BLANK = bytes.fromhex(  # one transparent pixel, until there is a picture
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c02"
    "0000000b4944415478da6360600000000300012b094d840000000049454e44ae426082"
)


class Screen:
    """Shows a tracer's view; bare: without the controls of the table. One thread calls `draw`.

    acted: called when the user sorts or filters the table.
    """

    def __init__(
        self,
        tracer: Tracer,
        size: tuple[int, int],
        *,
        bare: bool = False,
        acted: Callable[[], None] = lambda: None,
    ) -> None:
        self.tracer = tracer
        self._bare = bare
        self.size = size
        self.png = b""  # the picture that is shown; empty where the view is no picture
        self._fixed = {"width": f"{size[0]}px", "height": f"{size[1]}px"}
        self._image = widgets.Image(
            value=_BLANK,
            format="png",
            width=size[0],
            height=size[1],
            # A narrower page shows the whole picture smaller.
            layout=widgets.Layout(**self._fixed, max_width="100%", object_fit="contain"),
        )
        self._rows = widgets.HTML()
        self._sort = widgets.Dropdown(
            options=[_NEWEST_FIRST], description="sort by", layout=widgets.Layout(width="220px")
        )
        self._down = widgets.Checkbox(True, description="largest first", indent=False)
        self._words = widgets.Text(placeholder="filter rows by words", continuous_update=True)
        self._flames = widgets.HTML()
        self._samples = widgets.HTML()
        layout = widgets.Layout(min_height=self._fixed["height"])
        self.widget = widgets.VBox([self._image], layout=layout)
        self.widget.layout.min_width = self._fixed["width"]
        comm_routing.answer_in_subshell(self._sort, self._down, self._words)
        for control in (self._sort, self._down, self._words):
            control.observe(self._rearranged, "value")
        self._acted = acted
        self.stale = False  # the user sorted or filtered the rows
        self._drawn: tuple[int, View, str] | None = None
        self._picture: Picture | None = None
        self._next = 0.0

    def draw(
        self, counter: RunCounter, view: View, theme: Theme, window_s: float, now: float
    ) -> bool:
        """Draw the current counts, and send them to the page; return whether they changed."""
        drawn = (id(counter), view, theme.name)
        if drawn != self._drawn:
            self._build(counter, view, theme)
            self._drawn, self._next = drawn, 0.0
        if self._picture is not None:
            with counter.lock:
                self._picture.update(counter.aggregates[view.table], window_s, now)
            self.png = self._picture.png()
            return self._show(self._image, self.png)
        if now < self._next and not self.stale:
            return False
        self.stale = False
        if view.kind == "table":
            self._next = now + _ROWS_EVERY_S
            return self._draw_rows(view, theme)
        self._next = now + _FLAMES_EVERY_S
        return self._draw_flames(view, theme)

    def _show(self, widget: Any, value: Any) -> bool:
        """Send a widget's value where it changed; return whether it did."""
        if widget.value == value:
            return False
        widget.value = value
        return True

    def _rearranged(self, _: object) -> None:
        self.stale = True
        self._acted()

    def _build(self, counter: RunCounter, view: View, theme: Theme) -> None:
        self._picture, self.png = None, b""
        if view.kind in PICTURES:
            aggregate = counter.aggregates[view.table]
            make = PICTURES[view.kind]
            self._picture = make(aggregate, view.title, bar=view.bar, size=self.size, theme=theme)
            children = [self._image]
        elif view.kind == "table":
            columns = [str(name) for name in row_table.latest(self.tracer, view.table).columns]
            self._sort.options = [_NEWEST_FIRST, *columns]
            sorting = widgets.HBox([self._sort, self._down, self._words])
            children = [self._rows] if self._bare else [sorting, self._rows]
        else:
            self._open_flames(view, theme)
            children = [self._flames, self._samples]
        self.widget.children = children

    def _draw_rows(self, view: View, theme: Theme) -> bool:
        sort = "" if self._sort.value in (None, _NEWEST_FIRST) else str(self._sort.value)
        if sort and self._down.value:
            sort = f"-{sort}"
        frame = row_table.arranged(
            row_table.latest(self.tracer, view.table), sort, self._words.value
        )
        return self._show(self._rows, row_table.as_html(frame, theme, self.size, view.title))

    # The page is loaded once and reads new samples from a hidden element next to it, so that its
    # zoom, its search and the box under the mouse stay while samples arrive.

    def _open_flames(self, view: View, theme: Theme) -> None:
        self._id = f"kernelscope-{secrets.token_hex(8)}"
        page = flamegraph_page.page(
            "", view.title, value=self._value(view), theme=theme.name, source=self._id
        )
        width, height = self.size[0], max(420, self.size[1])
        self._flames.value = (
            f'<iframe srcdoc="{html.escape(page)}" style="width:{width}px;height:{height}px;'
            f'border:0;background:{theme.face}" title="{html.escape(view.title)}"></iframe>'
        )

    def _draw_flames(self, view: View, theme: Theme) -> bool:
        collector = self.tracer.run.stream.collector if self.tracer.run is not None else None
        if collector is None:
            return False
        frame = row_table.since(
            collector.latest(view.table, 1 << 30),
            self.tracer.baseline.get(view.table),
            collector.columns(view.table),
        )
        try:
            text = flamegraph_page.data(stack_tree.tree(frame, self._value(view)))
        except AnalysisError:
            return False
        shown = f'<div hidden id="{self._id}" data-theme="{theme.name}">{html.escape(text)}</div>'
        return self._show(self._samples, shown)

    def _value(self, view: View) -> str:
        plots: list[Any] = [plot for plot in self.tracer.plots if plot.kind == "flamegraph"]
        named = [plot.value for plot in plots if plot.table in ("", view.table) and plot.value]
        return named[0] if named else "count"
