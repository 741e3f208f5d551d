"""Adds a notice to every table of a notebook that replays recordings: it was not measured here.

Only in notebooks run with KERNELSCOPE_REPLAY (tracing/replay.py); elsewhere tables look as pandas
shows them. Figures have their own notice (plotting/figure.py).
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kernelscope.tables.attrs import receipt_of
from kernelscope.tables.results import Tables
from kernelscope.text import printable

if TYPE_CHECKING:
    import pandas as pd
    from IPython.core.interactiveshell import InteractiveShell

    from kernelscope.comparison import Comparison

_GENERAL = "replayed from a recording; not measured on this machine"


def sentence(receipt: Mapping[str, Any] | None) -> str:
    """Return where and when a result was recorded, as far as its receipt shows."""
    if not receipt or not receipt.get("host"):
        return _GENERAL
    release = receipt.get("kernel", {}).get("release", "")
    date = str(receipt.get("started", ""))[:10]
    return f"recorded on {receipt['host']}, Linux {release}, {date}; not measured on this machine"


def install(shell: InteractiveShell) -> None:
    """Have the shell add the notice to every DataFrame, Tables and Comparison that it shows."""
    formatters = shell.display_formatter.formatters  # type: ignore[union-attr]
    for mime, marked in (("text/html", _html), ("text/plain", _plain)):
        formatters[mime].for_type_by_name("pandas", "DataFrame", marked)
        formatters[mime].for_type_by_name("kernelscope.comparison", "Comparison", marked)
        formatters[mime].for_type(Tables, marked)


def _html(result: pd.DataFrame | Tables | Comparison) -> str:
    mark = html.escape(sentence(_receipt(result)))
    return f"{result._repr_html_()}<p><em>{mark}</em></p>"  # type: ignore[operator]


def _plain(result: pd.DataFrame | Tables | Comparison, printer: Any, _cycle: bool) -> None:
    printer.text(printable(f"{result!r}\n{sentence(_receipt(result))}", keep="\n"))


def _receipt(result: pd.DataFrame | Tables | Comparison) -> Mapping[str, Any] | None:
    captures: tuple[pd.DataFrame, ...] | None = getattr(result, "tables", None)
    return receipt_of(captures[1] if captures else result)  # type: ignore[arg-type]
