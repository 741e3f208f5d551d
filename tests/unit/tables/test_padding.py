from __future__ import annotations

import numpy as np

from kernelscope.protocol.layout import Field, Layout
from kernelscope.tables import padding

PADDED = Layout(
    "hits", "hash", (Field("pid", "u32", 0, 4), Field("inode", "u64", 8, 8)), key_size=16
)


def keys(*rows: tuple[int, int, int]) -> np.ndarray:
    return np.array(list(rows), np.dtype("<u4,<u4,<u8"))


def test_counts_rows_that_differ_only_in_padding() -> None:
    rows = keys((5, 0, 1), (5, 77, 1), (5, 0, 2), (5, 78, 1))
    assert padding.doubled_rows(PADDED, [rows[:2], rows[2:]]) == 2


def test_rows_with_different_members_are_not_counted() -> None:
    assert padding.doubled_rows(PADDED, [keys((5, 1, 1), (6, 1, 1))]) == 0


def test_keys_without_padding_are_not_compared() -> None:
    layout = Layout("m", "hash", (Field("key", "u64", 0, 8),), key_size=8)
    assert padding.doubled_rows(layout, [np.array([3, 3], "<u8")]) == 0


def test_the_warning_names_the_fix() -> None:
    assert "hits: 1,007 rows" in padding.warning(PADDED, 1007)
    assert "memset" in padding.warning(PADDED, 1007)
