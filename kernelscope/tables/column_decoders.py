"""How each kind's raw values become a DataFrame's column.

`probe.column_kinds` names the function of each kind. A decoder takes a `Source` and returns an
array, or, for "slot", two: the bounds of each bucket.
"""

from __future__ import annotations

import ipaddress
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import numpy as np
import pandas as pd

from kernelscope.probe.column_kinds import COLUMN_KINDS
from kernelscope.probe.model import Column
from kernelscope.tables import kernel_names
from kernelscope.tables.clock import WallClock
from kernelscope.tables.histogram import slot_bounds
from kernelscope.tables.records import Array
from kernelscope.tables.stacks import Stacks
from kernelscope.tables.strings import Values, as_bytes, c_strings, spell
from kernelscope.units import NANOSECONDS

_AF_INET, _AF_INET6 = 2, 10


@dataclass(frozen=True)
class Context:
    """What decoding needs to know about the run.

    clock: from the monotonic clock to the time of day. stacks: resolved stack traces.
    devices: "major:minor" to a disk's name. machine: as `uname -m` names it, for system calls.
    histogram: what slots mean: "log_linear", "log2" or "linear".
    enums: the kernel's enums by name, each {number: word}. hooks: the run's, {number: name}.
    """

    clock: WallClock = field(default_factory=WallClock)
    stacks: Stacks = field(default_factory=Stacks)
    devices: Mapping[str, str] = field(default_factory=dict)
    machine: str = field(default_factory=platform.machine)
    histogram: str = "log_linear"
    enums: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    hooks: Mapping[int, str] = field(default_factory=dict)


def _no_sibling(_name: str) -> Array | None:
    return None


@dataclass(frozen=True)
class Source:
    """One column's raw values. sibling: returns another field of the same rows, or None."""

    values: Array
    column: Column
    context: Context
    sibling: Callable[[str], Array | None] = _no_sibling


def decode(source: Source) -> dict[str, Values]:
    """Return the DataFrame's column, or for kind "slot" its two columns, by name.

    The bounds of slots `<base>_<unit>` are named `<base>_low_<unit>` and `<base>_high_<unit>`.
    """
    column = source.column
    result = COLUMN_KINDS[column.kind].load_decoder()(source)
    if not isinstance(result, tuple):
        return {column.name: result}
    unit = f"_{column.unit}" if column.unit else ""
    base = column.name.removesuffix(unit)
    return {f"{base}_low{unit}": result[0], f"{base}_high{unit}": result[1]}


def text(source: Source) -> Values:
    """Return the text of char arrays."""
    return c_strings(source.values)


# --- numbers -------------------------------------------------------------------------------------


def integer(source: Source) -> Values:
    """Return numbers as they are, multiplied by the column's scale."""
    values, scale = source.values, source.column.scale
    if values.dtype.kind not in "iuf":
        return _wide(source)
    if scale == 1:
        return values
    if scale.is_integer() and values.dtype.kind in "iu":
        return values.astype(np.int64) * int(scale)
    return _scaled(values.astype(np.float64), scale)


def _scaled(values: Array, scale: float) -> Array:
    """Multiply, or divide where that is the same and exact: 106496 ns are 106.496 us."""
    divisor = round(1 / scale) if 0 < scale < 1 else 0
    if divisor and scale == 1 / divisor:
        return values / divisor
    return values * scale


def descriptor(source: Source) -> Values:
    """Return descriptors; <NA> for negative numbers, which are errors."""
    numbers = integer(source)
    if not isinstance(numbers, np.ndarray):
        return numbers
    signed = numbers.astype(np.int64)
    return pd.arrays.IntegerArray(signed, signed < 0)


def _wide(source: Source) -> Values:
    return spell(as_bytes(source.values), lambda raw: hex(int.from_bytes(raw, "little")))


def floating(source: Source) -> Values:
    """Return floats, multiplied by the column's scale."""
    return _scaled(source.values.astype(np.float64), source.column.scale)


def boolean(source: Source) -> Values:
    """Return whether each value is not 0."""
    return source.values != 0


def duration(source: Source) -> Values:
    """Return nanoseconds in the column's unit."""
    divisor = NANOSECONDS[source.column.unit or "ns"]
    numbers = source.values.astype(np.float64)
    if source.column.scale != 1:
        numbers *= source.column.scale
    return numbers / divisor  # the nearest to the decimal number, which a product would not be


def time(source: Source) -> Values:
    """Return the kernel's monotonic clock as the time of day."""
    raw = source.values
    # A view, where possible, saves a copy of what may be 100 MB.
    raw = raw.view(np.int64) if raw.dtype.itemsize == 8 else raw.astype(np.int64)
    stamps = source.context.clock.wall_ns(raw)
    stamps[raw == 0] = np.iinfo(np.int64).min  # NaT: the program never set it
    return pd.array(stamps, dtype="datetime64[ns, UTC]", copy=False)


def port_be(source: Source) -> Values:
    """Return ports from network order."""
    low = source.values.astype(np.uint16)
    return low.byteswap() if np.little_endian else low


def slot(source: Source) -> Values:
    """Return the low and the high bound of each bucket."""
    low, high = slot_bounds(source.values, source.context.histogram)
    if source.column.scale == 1:
        return low, high
    return _scaled(low, source.column.scale), _scaled(high, source.column.scale)


# --- numbers with names --------------------------------------------------------------------------


@cache
def syscall_names(machine: str) -> dict[int, str]:
    """Return {number: name} of the system calls of a machine ("x86_64", "aarch64")."""
    text = resources.files("kernelscope.tables").joinpath("data/syscalls.json").read_text("utf-8")
    table = json.loads(text).get({"arm64": "aarch64", "amd64": "x86_64"}.get(machine, machine), {})
    return {int(number): name for number, name in table.items()}


OF_32BIT = 1 << 29  # KS_OF_32BIT of kernelscope.h: the call of a 32-bit program
_TABLES_OF_32BIT = {"x86_64": "i386", "amd64": "i386", "aarch64": "arm", "arm64": "arm"}


def syscall(source: Source) -> Values:
    """Return the names of system calls on the run's machine; "i386:unlink" of 32-bit programs."""
    machine = source.context.machine
    names, other = syscall_names(machine), _TABLES_OF_32BIT.get(machine, "32-bit")
    names_of_32bit = syscall_names(other)

    def name(number: int) -> str:
        if number > 0 and number & OF_32BIT:
            number &= ~OF_32BIT
            return f"{other}:{names_of_32bit.get(number, number)}"
        return names.get(number, f"syscall_{number}")

    return spell(source.values, name)


def errno(source: Source) -> Values:
    """Return the names of error numbers."""
    signed = source.values.astype(f"i{source.values.dtype.itemsize}")
    return spell(-signed if source.column.scale == -1 else signed, kernel_names.error)


def signal(source: Source) -> Values:
    """Return the names of signals."""
    return spell(source.values, kernel_names.signal)


def enum(source: Source) -> Values:
    """Return the words of the column's own `names`."""
    names = source.column.names
    return spell(source.values, lambda number: names.get(number, str(number)))


def btf_enum(source: Source) -> Values:
    """Return the words of an enum of the kernel that ran."""
    names = source.context.enums.get(source.column.enum, {})
    prefix = source.column.prefix
    return spell(source.values, lambda number: names.get(number, str(number)).removeprefix(prefix))


def hook(source: Source) -> Values:
    """Return the names of the run's hooks."""
    return spell(source.values, lambda number: source.context.hooks.get(number, str(number)))


def device(source: Source) -> Values:
    """Return the names of disks; their numbers where those are unknown."""

    def name(number: int) -> str:
        # MINORBITS is 20 inside the kernel (include/linux/kdev_t.h).
        label = f"{number >> 20}:{number & 0xFFFFF}"
        return source.context.devices.get(label, label) if number else ""

    return spell(source.values, name)


# --- addresses and bytes -------------------------------------------------------------------------


def address(source: Source) -> Values:
    """Return addresses in hexadecimal."""
    if source.values.ndim == 1 and source.values.dtype.kind in "iu":
        width = source.values.dtype.itemsize
        return spell(source.values.astype(f"u{width}"), hex)
    return _wide(source)


def hexadecimal(source: Source) -> Values:
    """Return bytes in hexadecimal."""
    return spell(as_bytes(source.values), bytes.hex)


def mac(source: Source) -> Values:
    """Return hardware addresses."""
    return spell(as_bytes(source.values), lambda raw: raw[:6].hex(":"))


def _v4(raw: bytes) -> str:
    return str(ipaddress.IPv4Address(raw[:4]))


def _v6(raw: bytes) -> str:
    address = ipaddress.IPv6Address(raw)
    return str(address.ipv4_mapped or address)


def ipv4(source: Source) -> Values:
    """Return IPv4 addresses."""
    return spell(as_bytes(source.values), _v4)


def ipv6(source: Source) -> Values:
    """Return IPv6 addresses."""
    return spell(as_bytes(source.values), _v6)


def ip(source: Source) -> Values:
    """Return addresses of either family; without a family field, by their bytes."""
    raw = as_bytes(source.values)
    family = source.sibling(source.column.family) if source.column.family else None
    if family is None:
        return spell(raw, lambda value: _v6(value) if any(value[4:]) else _v4(value))
    tagged = np.concatenate([raw, family.astype(np.uint8)[:, None]], axis=1)

    def name(value: bytes) -> str:
        known = {_AF_INET: _v4, _AF_INET6: _v6}.get(value[-1])
        return known(value[:-1]) if known else ""

    return spell(tagged, name)


# --- stacks --------------------------------------------------------------------------------------


def _process(source: Source) -> Array:
    names = (source.column.family,) if source.column.family else ("tgid", "pid")
    for name in names:
        found = source.sibling(name)
        if found is not None:
            return found.astype(np.int64)
    return np.full(len(source.values), -1, np.int64)


def _stack(source: Source, kernel: bool) -> Values:
    # A stack id is an int in the kernel, whatever type the program keeps it in.
    ids = source.values.astype(np.int64).astype(np.int32).astype(np.int64)
    pairs = np.stack([np.zeros_like(ids) if kernel else _process(source), ids], axis=1)

    def name(raw: bytes) -> str:
        process, stack = np.frombuffer(raw, np.int64).tolist()
        return source.context.stacks.folded(process, stack)

    return spell(as_bytes(pairs), name)


def ksym(source: Source) -> Values:
    """Return the names of kernel functions; an address without one stays an address."""

    def name(address: int) -> str:
        text = source.context.stacks.folded(0, address)
        return f"{address:#x}" if text.startswith("[") else text

    return spell(
        source.values.view("<u8") if source.values.dtype.kind == "i" else source.values, name
    )


def kernel_stack(source: Source) -> Values:
    """Return the kernel's part of stacks."""
    return _stack(source, kernel=True)


def user_stack(source: Source) -> Values:
    """Return the program's part of stacks."""
    return _stack(source, kernel=False)
