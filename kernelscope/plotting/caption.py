"""The line below a picture or a page: what ran, with which options, when and where."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from kernelscope.analysis.measure import lost_events
from kernelscope.probe import catalogue
from kernelscope.tables.attrs import receipt_of
from kernelscope.text import printable, without_middle

_FILTERS = ("pid", "comm", "uid", "cgroup", "tree")
_NAME = 60  # characters of a name


def notices(df: pd.DataFrame) -> list[str]:
    """Return warnings about a result: it was replayed, events were lost, it ended early."""
    receipt = receipt_of(df)
    found = []
    if receipt.get("recorded"):
        found.append("RECORDED earlier, not live")
    lost = lost_events(df)
    if lost:
        whole = lost + int(df["count"].sum() if "count" in df.columns else len(df))
        found.append(f"LOST {lost:,} of {whole:,} events ({lost / whole:.1%})")
    if receipt.get("interrupted"):
        found.append("ended early")
    return found


def caption(df: pd.DataFrame) -> str:
    """Return the line below a picture: its warnings, what ran, for how long, when and where."""
    receipt = receipt_of(df)
    parts = notices(df)
    if receipt.get("name"):
        seconds = receipt.get("duration_s")
        length = [f"{seconds:.3g} s"] if seconds else []
        parts.append(", ".join([_name(receipt["name"]), *_choices(df), *length]))
    if receipt.get("started"):
        parts.append(_name(str(receipt["started"])[:19]).replace("T", " ") + " UTC")
    if receipt.get("host"):
        parts.append(_name(receipt["host"]))
    return " · ".join(parts)


def _choices(df: pd.DataFrame) -> list[str]:
    """Return what restricts the run: parameters that differ from the defaults, and filters."""
    receipt = receipt_of(df)
    probe = catalogue.catalogue().get(str(receipt.get("probe")))
    defaults = {each.name: each.default for each in probe.parameters} if probe else {}
    parameters, filters = (receipt.get(name) for name in ("parameters", "filters"))
    found = [
        name if value is True else f"{name} {value}"
        for name, value in (parameters if isinstance(parameters, Mapping) else {}).items()
        if value not in (None, False, defaults.get(name))
    ]
    for name, value in (filters if isinstance(filters, Mapping) else {}).items():
        if name in _FILTERS:
            found.append(f"{name} {value}")
    return [_name(each) for each in found]


def _name(value: object) -> str:
    return without_middle(printable(str(value)), _NAME)
