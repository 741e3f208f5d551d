"""Keys of a map that differ only in their padding: rows that look the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kernelscope.protocol.layout import Layout
from kernelscope.tables.records import Array


def doubled_rows(layout: Layout, keys: Sequence[Array]) -> int:
    """Return how many entries have a key whose members all equal those of another entry."""
    shown = np.zeros(layout.key_size, bool)
    for field in layout.key:
        shown[field.offset : field.offset + field.size] = True
    if shown.all() or not keys:
        return 0
    parts = [np.ascontiguousarray(part).view(np.uint8).reshape(len(part), -1) for part in keys]
    members = np.ascontiguousarray(np.concatenate(parts)[:, : layout.key_size][:, shown])
    if not members.size:
        return 0
    return len(members) - len(np.unique(members, axis=0))


def warning(layout: Layout, doubled: int) -> str:
    """Return what to do about such rows."""
    return (
        f"{layout.table}: {doubled:,} rows repeat the key of another row; the keys differ in their"
        " padding: clear each key first, with __builtin_memset(&key, 0, sizeof(key))"
    )
