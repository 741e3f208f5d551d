"""Where a table carries its receipt: `df.attrs["kernelscope"]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from kernelscope.tables.results import Tables

KEY = "kernelscope"  # of DataFrame.attrs and of a file's metadata
# In the receipt of a map that was read at intervals: how each column that grows is added up.
READINGS = "readings"


def receipt_of(result: pd.DataFrame | Tables) -> Mapping[str, Any]:
    """Return the receipt of a table or of a result with several; empty if there is none."""
    found = result.attrs.get(KEY) if hasattr(result, "attrs") else result.receipt
    return found if isinstance(found, Mapping) else {}
