"""The controls of one probe, built from its description: its parameters and filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from kernelscope.probe.model import Parameter, Probe
from kernelscope.tracing import options as run_options

_FILTERS = ("pid", "comm", "uid", "cgroup")
_TEXT = widgets.Layout(width="190px")


class Controls:
    """One probe's options as widgets. `options` reads them as in the Python API."""

    def __init__(self, probe: Probe, given: dict[str, Any], changed: Callable[[], None]) -> None:
        self._changed = changed
        self._widgets: dict[str, Any] = {}
        self._defaults: dict[str, Any] = {}
        for parameter in probe.parameters:
            self._add(parameter.name, _of_parameter(parameter), given)
        for option in run_options.OPTIONS:
            if option.name in _FILTERS and probe.filters != "none":
                text = _text(option.name, option.metavar.lower(), option.help)
                self._add(option.name, text, given)
        self._others = {name: v for name, v in given.items() if name not in self._widgets}
        layout = widgets.Layout(flex_flow="row wrap", grid_gap="4px")
        self.widget = widgets.Box(list(self._widgets.values()), layout=layout)

    @property
    def options(self) -> dict[str, Any]:
        """The options that differ from the probe's defaults."""
        found = dict(self._others)
        for name, widget in self._widgets.items():
            value = widget.value.strip() if isinstance(widget.value, str) else widget.value
            if value != self._defaults[name]:
                found[name] = value
        return found

    def _add(self, name: str, widget: Any, given: dict[str, Any]) -> None:
        self._widgets[name] = widget
        self._defaults[name] = widget.value
        if name in given:
            value = given[name]
            widget.value = value if isinstance(widget.value, bool) else str(value)
        widget.observe(lambda _: self._changed(), "value")


def help_of(parameter: Parameter) -> str:
    """Return a parameter's help, with its range."""
    low, high = parameter.minimum, parameter.maximum
    bounds = [f"at least {low:g}"] if low is not None else []
    bounds += [f"at most {high:g}"] if high is not None else []
    unit = f" {parameter.unit}" if parameter.unit else ""
    return parameter.help + (f" ({', '.join(bounds)}{unit})" if bounds else "")


def _of_parameter(parameter: Parameter) -> Any:
    if parameter.kind == "flag":
        return widgets.Checkbox(
            bool(parameter.default),
            description=parameter.name.replace("_", " "),
            tooltip=help_of(parameter),
            indent=False,
            layout=widgets.Layout(width="auto", margin="2px 12px"),
        )
    if parameter.kind == "choice":
        first = [] if parameter.default is not None else [""]
        return widgets.Dropdown(
            options=[*first, *parameter.choices],
            value=parameter.default if parameter.default is not None else "",
            description=parameter.name.replace("_", " "),
            tooltip=help_of(parameter),
            layout=_TEXT,
        )
    shown = f"{parameter.default}" if parameter.default is not None else parameter.kind
    return _text(parameter.name, shown + (f" {parameter.unit}").rstrip(), help_of(parameter))


def _text(name: str, placeholder: str, help_: str) -> Any:
    return widgets.Text(
        "",
        description=name.replace("_", " "),
        placeholder=placeholder,
        tooltip=help_,
        continuous_update=False,
        layout=_TEXT,
    )
