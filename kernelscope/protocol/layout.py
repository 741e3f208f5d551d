"""How to read one table's bytes: comes from what BCC compiled, never written twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Field:
    """One scalar (or array of scalars) in a record, key or value.

    name: dotted for members of nested structs ("addr.port", "path[1].id").
    type: u8 … u64, s8 … s64, u128, f32, f64, char, bool, ptr.
    offset, size: in bytes; size covers the whole array.
    count: elements; 1 for a scalar. A char array is text.
    bit_offset, bits: a bit field's place in its `size` bytes; bits 0 means none.
    """

    name: str
    type: str
    offset: int
    size: int
    count: int = 1
    bit_offset: int = 0
    bits: int = 0


@dataclass(frozen=True)
class Layout:
    """How to read one table's bytes; comes from what BCC compiled, never written twice.

    table: the map's name in the C text.
    kind: "ring" and "perf" (records), "printk" (trace_printk lines, perf records), "stack_trace",
        or a map: "hash", "lru_hash", "percpu_hash", "lru_percpu_hash", "array", "percpu_array",
        "lpm_trie".
    key, value: for maps; record (in `value`) for rings. `*_size` are bytes.
    histogram: "", "log2" (BPF_HISTOGRAM fed by bpf_log2l), "linear" (BPF_HISTOGRAM fed otherwise)
        or "log_linear" (KS_HISTOGRAM); the slot is the key's last field.
    cpus: how many values a per-CPU map has per key (each padded to 8 bytes); else 0.
    max_entries: the map's capacity; a ring's size in bytes.
    record_size: payload bytes when every record has the same size, else 0.
    """

    table: str
    kind: str
    key: tuple[Field, ...] = ()
    value: tuple[Field, ...] = ()
    key_size: int = 0
    value_size: int = 0
    histogram: str = ""
    cpus: int = 0
    max_entries: int = 0
    record_size: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the layout as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Layout:
        """Build a layout from `to_json`'s values (the client trusts the agent)."""
        values = dict(data)
        for part in ("key", "value"):
            values[part] = tuple(Field(**item) for item in values.get(part, ()))
        return cls(**values)
