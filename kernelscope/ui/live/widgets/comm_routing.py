"""Answers a widget's messages in the thread that the page asks for.

JupyterLab sends widgets' messages to a subshell, so that they are answered while a cell runs in
the main thread. ipykernel (seen in 7.4) passes them to the thread that last wrote to the page
instead. For widgets of cells and of threads, that is the main thread, which is busy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ipywidgets as widgets

_ROUTE = "_reply_subshell_for"


def answer_in_subshell(*roots: Any) -> None:
    """Answer these widgets, and those inside them, in the thread that the page asks for."""
    for widget in _tree(roots):
        if hasattr(widget.comm, _ROUTE):
            setattr(widget.comm, _ROUTE, _as_requested)


def _as_requested(_data: object, default: str | None) -> str | None:
    return default


def _tree(roots: tuple[Any, ...]) -> Iterator[Any]:
    for root in roots:
        yield root
        if isinstance(root, widgets.Box):
            yield from _tree(root.children)
