"""Flame graphs as a page of their own, with zoom and search."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

from kernelscope import units
from kernelscope.analysis.stack_tree import Node
from kernelscope.text import printable


def data(root: Node) -> str:
    """Return a tree as the page reads it: [name, kind, count, children] as JSON.

    A node of a difference has two more numbers, its rates before and after.
    """

    def listed(node: Node) -> list[Any]:
        children = sorted(node.children.values(), key=lambda child: child.name)
        found = [node.name, node.kind, node.count, [listed(child) for child in children]]
        return found if node.rates is None else [*found, *node.rates]

    return json.dumps(listed(root), ensure_ascii=False, separators=(",", ":"))


def page(
    text: str,
    title: str,
    *,
    value: str = "count",
    caption: str = "",
    theme: str = "light",
    source: str = "",
    receipt: Mapping[str, Any] | None = None,
) -> str:
    """Return a page that draws `data`.

    value: the column that the tree adds up; its unit is that of the page's numbers. caption: what
    ran, when and where. source: the id of an element of the parent page that holds newer data.
    """
    files = resources.files("kernelscope.plotting")
    template = files.joinpath("data/flamegraph.html").read_text("utf-8")
    filled = {
        "@title@": html.escape(printable(title)),
        "@caption@": html.escape(printable(caption)),
        "@unit@": units.unit_of(value) or "samples",
        "@theme@": html.escape(theme),
        "@source@": html.escape(source),
        # a function's name must not end the script
        "@receipt@": json.dumps(receipt or {}, default=str).replace("<", "\\u003c"),
        "@data@": text.replace("<", "\\u003c"),
    }
    return re.sub(r"@[a-z]+@", lambda found: filled.get(found[0], found[0]), template)
