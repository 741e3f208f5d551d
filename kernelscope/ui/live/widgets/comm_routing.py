"""Lets a widget's messages be answered in the thread that the page asks for.

JupyterLab sends widgets' messages to a subshell, so that they are answered while a cell runs in
the main thread. ipykernel (seen in 7.4) sends them on to whichever thread last wrote to the page
instead: for a cell's widgets, and for threads', that is the main one, which is busy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ipywidgets as widgets

_ROUTE = "_reply_subshell_for"


def anywhere(*roots: Any) -> None:
    """Take the messages of these widgets, and of those in them, where the page sends them."""
    for widget in _tree(roots):
        if hasattr(widget.comm, _ROUTE):
            setattr(widget.comm, _ROUTE, _as_asked)


def _as_asked(_data: object, default: str | None) -> str | None:
    return default


def _tree(roots: tuple[Any, ...]) -> Iterator[Any]:
    for root in roots:
        yield root
        if isinstance(root, widgets.Box):
            yield from _tree(root.children)
