"""What each kind of column makes of its raw values."""

from __future__ import annotations

import errno
import signal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelscope.probe.column_kinds import COLUMN_KINDS
from kernelscope.probe.model import Column
from kernelscope.tables import column_decoders, kernel_names
from kernelscope.tables.clock import WallClock
from kernelscope.tables.histogram import slot_bounds
from kernelscope.tables.stacks import Stacks

FRAMES = {
    "0:5": [["do_read", 26, "kernel"], ["entry", 1, "kernel"]],
    "42:5": [["read;x", 2, "libc.so.6"], [None, 0x1234, "app"], ["", 0xBEEF, ""]],
    "42:6": [["main", 0, "app"]],
}


def decoded(kind, values, *, context=None, sibling=None, **column):
    source = column_decoders.Source(
        np.asarray(values),
        Column("x", kind, **column),
        context or column_decoders.Context(machine="x86_64"),
        sibling or {}.get,
    )
    return column_decoders.decode(source)


def listed(kind, values, **more):
    return pd.Series(decoded(kind, values, **more)["x"]).tolist()


@pytest.mark.parametrize("kind", COLUMN_KINDS)
def test_every_kind_decodes_no_rows(kind):
    values = np.empty((0, 16), np.uint8) if kind in ("ip", "ipv6", "mac", "bytes") else None
    result = decoded(kind, np.empty(0, np.uint64) if values is None else values)
    assert all(len(column) == 0 for column in result.values())


class TestText:
    @given(st.lists(st.binary(max_size=16), max_size=30))
    def test_text_ends_at_its_nul_with_bad_utf8_escaped(self, raw):
        padded = np.frombuffer(b"".join(r.ljust(16, b"\0") for r in raw), "S16")
        wanted = [r.split(b"\0")[0].decode("utf-8", "backslashreplace") for r in raw]
        assert listed("text", padded) == wanted

    def test_bytes_after_the_nul_are_ignored(self):
        raw = np.frombuffer(b"bash\0AAAbash\0\xff\xfe\x80", "S8")
        result = pd.Series(decoded("text", raw)["x"])
        assert result.tolist() == ["bash", "bash"]
        assert result.dtype == "str"

    def test_bytes_can_be_read_as_text(self):
        assert listed("path", np.array([[47, 97, 0, 9]], np.uint8)) == ["/a"]


class TestNumbers:
    def test_integers_keep_their_width(self):
        assert decoded("integer", np.array([1], np.uint16))["x"].dtype == np.uint16

    def test_a_whole_scale_keeps_integers(self):
        assert decoded("integer", np.array([3], np.uint32), scale=512.0)["x"].tolist() == [1536]

    def test_a_broken_scale_gives_floats(self):
        assert decoded("count", np.array([3], np.uint32), scale=0.5)["x"].tolist() == [1.5]

    @pytest.mark.parametrize(
        ("unit", "wanted"), [("ns", 1.5e6), ("us", 1500), ("ms", 1.5), ("", 1.5e6)]
    )
    def test_a_duration_is_in_its_unit(self, unit, wanted):
        assert decoded("duration", np.array([1_500_000], np.uint64), unit=unit)["x"].tolist() == [
            wanted
        ]

    def test_time_is_utc_and_zero_is_missing(self):
        context = column_decoders.Context(clock=WallClock(1_700_000_000_000_000_000))
        times = pd.Series(decoded("time", np.array([5, 0], np.uint64), context=context)["x"])
        assert times.dtype == "datetime64[ns, UTC]"
        assert times[0] == pd.Timestamp(1_700_000_000_000_000_005, tz="UTC")
        assert pd.isna(times[1])

    def test_time_does_not_change_the_raw_values(self):
        raw = np.array([5, 0], np.uint64)
        decoded("time", raw, context=column_decoders.Context(clock=WallClock(7)))
        assert raw.tolist() == [5, 0]

    def test_ports_in_network_order_are_swapped(self):
        assert listed("port_be", np.array([0x5000], np.uint16)) == [80]
        assert listed("port_be", np.array([0x5000], np.uint32)) == [80]

    def test_bool_is_true_for_any_number_but_zero(self):
        assert listed("bool", np.array([0, 1, 7], np.uint8)) == [False, True, True]

    def test_a_number_of_128_bits_is_hexadecimal(self):
        assert listed("integer", np.frombuffer(b"\x10" + bytes(15), "V16")) == ["0x10"]


class TestNames:
    @pytest.mark.parametrize(
        ("machine", "number", "name"),
        [
            ("x86_64", 0, "read"),
            ("x86_64", 257, "openat"),
            ("x86_64", 435, "clone3"),
            ("aarch64", 63, "read"),
            ("aarch64", 56, "openat"),
            ("aarch64", 79, "newfstatat"),
            ("arm64", 221, "execve"),
            ("x86_64", 462, "mseal"),
            ("x86_64", 9999, "syscall_9999"),
            ("riscv64", 0, "syscall_0"),
            ("x86_64", 10 | 1 << 29, "i386:unlink"),
            ("x86_64", 9999 | 1 << 29, "i386:9999"),
            ("aarch64", 10 | 1 << 29, "arm:10"),
        ],
    )
    def test_system_calls_are_named_for_the_machine(self, machine, number, name):
        context = column_decoders.Context(machine=machine)
        assert listed("syscall", np.array([number], np.int32), context=context) == [name]

    @pytest.mark.parametrize(
        ("number", "name"),
        [(-2, "ENOENT"), (0, ""), (3, ""), (-512, "ERESTARTSYS"), (-9999, ""), (-4000, "-4000")],
    )
    def test_errors_are_named(self, number, name):
        assert listed("errno", np.array([number], np.int64)) == [name]

    def test_an_error_in_an_unsigned_field_has_its_name(self):
        assert listed("errno", np.array([2**32 - 13], np.uint32)) == ["EACCES"]

    def test_positive_errors_are_named_with_scale_minus_one(self):
        assert listed("errno", np.array([13, 0], np.uint32), scale=-1.0) == ["EACCES", ""]

    def test_signals_are_named(self):
        values = np.array([9, 0, 34, 36, 32], np.int32)
        assert listed("signal", values) == ["SIGKILL", "", "SIGRTMIN", "SIGRTMIN+2", "32"]

    def test_enums_are_named_and_unknown_values_stay_numbers(self):
        assert listed("enum", np.array([1, 2], np.uint8), names={1: "read"}) == ["read", "2"]

    def test_kernel_enums_are_named_and_unknown_values_stay_numbers(self):
        context = column_decoders.Context(enums={"reason": {0: "NOT_YET", 2: "R_LOST"}})
        values = np.array([0, 2, 9], np.uint32)
        shown = listed("btf_enum", values, context=context, enum="reason", prefix="R_")
        assert shown == ["NOT_YET", "LOST", "9"]
        assert listed("btf_enum", values, enum="reason", prefix="R_") == ["0", "2", "9"]

    def test_known_disks_are_named(self):
        context = column_decoders.Context(devices={"252:0": "vda"})
        values = np.array([252 << 20, 8 << 20 | 17, 0], np.uint32)
        assert listed("device", values, context=context) == ["vda", "8:17", ""]


class TestAddresses:
    def test_ipv4(self):
        assert listed("ipv4", np.array([0x0100007F], np.uint32)) == ["127.0.0.1"]

    def test_ipv6_shows_a_mapped_address_as_v4(self):
        raw = np.array([[0] * 15 + [1], [0] * 10 + [255, 255, 10, 0, 0, 9]], np.uint8)
        assert listed("ipv6", raw) == ["::1", "10.0.0.9"]

    def test_ip_reads_the_family_field(self):
        raw = np.array([[10, 0, 0, 1] + [0] * 12, [0] * 15 + [1], [1] * 16], np.uint8)
        family = np.array([2, 10, 1], np.uint16)
        shown = listed("ip", raw, family="af", sibling={"af": family}.get)
        assert shown == ["10.0.0.1", "::1", ""]

    def test_ip_without_a_family_decides_by_the_bytes(self):
        raw = np.array([[10, 0, 0, 1] + [0] * 12, [0] * 15 + [1]], np.uint8)
        assert listed("ip", raw) == ["10.0.0.1", "::1"]

    def test_addresses_and_bytes_are_hexadecimal(self):
        assert listed("address", np.array([2**64 - 1], np.uint64)) == ["0xffffffffffffffff"]
        assert listed("address", np.array([-1], np.int32)) == ["0xffffffff"]
        assert listed("bytes", np.array([[1, 171]], np.uint8)) == ["01ab"]
        assert listed("mac", np.array([[1, 2, 3, 4, 5, 254]], np.uint8)) == ["01:02:03:04:05:fe"]


class TestSlots:
    def test_log_linear_slots_cover_all_numbers_without_a_gap(self):
        low, high = slot_bounds(np.arange(488), "log_linear")
        assert (low[1:] == high[:-1]).all()
        assert low[0] == 0

    @given(st.integers(0, 2**63 - 2))
    def test_a_number_is_within_its_log_linear_slot(self, value):
        e = value.bit_length() - 1
        slot = value if value < 8 else (e - 2) * 8 + ((value >> (e - 3)) & 7)
        low, high = slot_bounds(np.array([slot]), "log_linear")
        assert low[0] <= value < high[0]

    def test_bounds_in_another_unit_are_exact_decimals(self):
        bounds = decoded("slot", np.array([117], np.uint32), scale=0.001)
        assert [float(bound[0]) for bound in bounds.values()] == [106.496, 114.688]

    @pytest.mark.parametrize(("slot", "bounds"), [(1, (0, 2)), (2, (2, 4)), (11, (1024, 2048))])
    def test_log2_slots_are_those_of_bcc(self, slot, bounds):
        low, high = slot_bounds(np.array([slot], np.uint32), "log2")
        assert (low[0], high[0]) == bounds

    @pytest.mark.parametrize("kind", ["log2", "log_linear"])
    def test_the_last_slots_end_at_the_largest_integer(self, kind):
        _, high = slot_bounds(np.array([64, 487, 10_000]), kind)
        assert high[-1] == 2**63 - 1

    def test_bounds_are_scaled_and_named_after_their_unit(self):
        context = column_decoders.Context(histogram="linear")
        source = column_decoders.Source(
            np.array([4]), Column("lat_us", "slot", unit="us", scale=0.5), context
        )
        result = column_decoders.decode(source)
        assert {name: values.tolist() for name, values in result.items()} == {
            "lat_low_us": [2.0],
            "lat_high_us": [2.5],
        }


class TestStacks:
    def test_the_root_comes_first(self):
        context = column_decoders.Context(stacks=Stacks(FRAMES))
        values = np.array([5, -14, -17, 77], np.int32)
        shown = listed("kernel_stack", values, context=context)
        assert shown == ["entry;do_read", "", "[lost]", "[stack 77]"]

    def test_a_user_stack_is_looked_up_under_its_process(self):
        context = column_decoders.Context(stacks=Stacks(FRAMES))
        sibling = {"pid": np.array([42], np.uint32)}.get
        shown = listed("user_stack", np.array([5], np.uint32), context=context, sibling=sibling)
        assert shown == ["[unknown];[app];read:x"]

    def test_offsets_and_modules_are_written_on_request(self):
        context = column_decoders.Context(stacks=Stacks(FRAMES, offsets=True))
        shown = listed("kernel_stack", np.array([5]), context=context)
        assert shown == ["entry+0x1 [kernel];do_read+0x1a [kernel]"]

    def test_a_stack_without_a_process_is_found_under_its_only_one(self):
        context = column_decoders.Context(stacks=Stacks(FRAMES))
        assert listed("user_stack", np.array([6]), context=context) == ["main"]
        assert listed("user_stack", np.array([5]), context=context) == ["[stack 5]"]


def test_errors_and_signals_have_the_names_of_this_machines_headers():
    for number, name in kernel_names.ERRORS.items():
        if hasattr(errno, name):  # 512 and above, and one that Python does not know, are others
            assert getattr(errno, name) == number
    assert set(errno.errorcode) <= set(kernel_names.ERRORS)
    named = {each.value: each.name for each in signal.Signals if each < signal.SIGRTMIN}
    assert named == kernel_names.SIGNALS
