"""The plots that a table's probe proposes: from its receipt, else from the probe's description."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd

from kernelscope.errors import ProbeNotFoundError
from kernelscope.probe import catalogue
from kernelscope.probe.model import Plot
from kernelscope.tables.attrs import receipt_of

_FIELDS = {field.name for field in dataclasses.fields(Plot)}


def plots_of(df: pd.DataFrame) -> list[Plot]:
    """Return the plots proposed for a table, the first first; none for a table without a probe."""
    receipt = receipt_of(df)
    table = receipt.get("table", "")
    if "plots" in receipt:
        found = [plot for each in _listed(receipt["plots"]) if (plot := _plot(each)) is not None]
    else:
        try:
            found = list(catalogue.find(str(receipt.get("probe"))).plots)
        except ProbeNotFoundError:
            return []
    return [plot for plot in found if not table or plot.table in ("", table)]


def _listed(plots: Any) -> list[Any]:
    return list(plots) if isinstance(plots, (list, tuple)) else []


def _plot(each: Any) -> Plot | None:
    """Return a receipt's plot; None for one that is malformed: files can hold anything."""
    if isinstance(each, Plot):
        return each
    if not isinstance(each, Mapping) or "kind" not in each or not set(each) <= _FIELDS:
        return None
    if not all(isinstance(v, int if k == "top" else str) for k, v in each.items()):
        return None
    return Plot(**each)
