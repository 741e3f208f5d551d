"""Results to files and back."""

from __future__ import annotations

import ctypes
import errno
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.ipc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelscope.errors import ExportError
from kernelscope.io import tabular
from kernelscope.io.read import read

RECEIPT = {"probe": "bio", "lost": {"ring_full": 0}, "started_ns": 1_700_000_000_000_000_001}
WRITERS = [
    pytest.param(tabular.to_csv, ".csv", id="csv"),
    pytest.param(tabular.to_parquet, ".parquet", id="parquet"),
    pytest.param(tabular.to_json, ".json", id="json"),
    pytest.param(tabular.to_arrow, ".arrow", id="arrow"),
    pytest.param(tabular.to_arrow, ".feather", id="feather"),
]
COLUMNS = {
    "categories": pd.Categorical(["a", None, "b"], categories=["b", "unused", "a"]),
    "ordered": pd.Categorical(["low", "high", "low"], ["low", "high"], ordered=True),
    "categories of numbers": pd.Categorical([3, 1, 3], categories=[3, 1, 2]),
    "duration": pd.to_timedelta([1, 2, None], unit="ns"),
    "duration in us": pd.to_timedelta([1, 2, -3], unit="us").as_unit("us"),
    "Int64": pd.array([1, None, 2**62 + 1], dtype="Int64"),
    "UInt32": pd.array([1, None, 2**31], dtype="UInt32"),
    "Float64": pd.array([0.1 + 0.2, None, 2], dtype="Float64"),
    "boolean": pd.array([True, None, False], dtype="boolean"),
    "string": pd.array(["x", None, ""], dtype="string"),
    "str": pd.array(["NA", None, ""], dtype="str"),
    "control": pd.array(["\0\x01\t", '\\"\n', "é\u2028"], dtype="str"),
    "no zone": pd.to_datetime(
        ["2026-01-01", "2026-01-02 03:04:05.000000006", None], format="ISO8601"
    ),
    "zone": pd.to_datetime([1, 2, None], utc=True).tz_convert("Asia/Tokyo"),
    "float32": np.array([0.1, -np.inf, np.nan], np.float32),
    "float64": np.array([0.1 + 0.2, 1 / 3, 5e-324]),
    "infinite": np.array([np.inf, -np.inf, 1.5e300]),
    "uint64": np.array([2**64 - 1, 0, 1], np.uint64),
    "int8": np.array([-128, 3, 127], np.int8),
    "address": ["192.0.2.1", "2001:db8::1", ""],
    "stack": ["main;read [libc];x", "", 'operator,;"a"'],
}
BY_THEMSELVES = (".parquet", ".arrow", ".feather")  # they hold the receipt


@pytest.fixture
def table():
    stamps = np.array([1_700_000_000_123_456_789, 1_700_000_000_000_000_000])
    frame = pd.DataFrame(
        {
            "time": pd.array(stamps, dtype="datetime64[ns, UTC]"),
            "pid": np.array([7, 2**32 - 1], np.uint32),
            "ret": np.array([-1, 3], np.int16),
            "bytes": np.array([2**64 - 1, 0], np.uint64),
            "latency_us": np.array([0.1, np.nan]),
            "ok": np.array([True, False]),
            "comm": pd.array(["=cmd|'x'!A1, \"é\"\n;", ""], dtype="str"),
        }
    )
    frame.attrs["kernelscope"] = RECEIPT
    return frame


@pytest.mark.parametrize(("writer", "suffix"), WRITERS)
class TestRoundTrip:
    def test_types_values_and_receipt_come_back(self, table, tmp_path, writer, suffix):
        path = writer(table, tmp_path / f"bio{suffix}")
        back = read(path)
        pd.testing.assert_frame_equal(back, table)
        assert back.attrs == table.attrs

    @pytest.mark.parametrize("name", COLUMNS)
    def test_reads_back_every_kind_of_column(self, tmp_path, writer, suffix, name):
        table = pd.DataFrame({name: COLUMNS[name], "last": [1, 2, 3]})
        table.attrs["kernelscope"] = RECEIPT
        for rows in (table, table.head(0)):
            back = read(writer(rows, tmp_path / f"bio{suffix}"))
            pd.testing.assert_frame_equal(back, rows, check_exact=True)
            assert back.attrs == rows.attrs

    def test_reads_back_a_table_without_rows(self, table, tmp_path, writer, suffix):
        path = writer(table.head(0), tmp_path / f"bio{suffix}")
        pd.testing.assert_frame_equal(read(path), table.head(0))

    def test_reads_back_a_table_without_a_receipt(self, tmp_path, writer, suffix):
        path = writer(pd.DataFrame({"x": [1]}), tmp_path / f"bio{suffix}")
        assert read(path).attrs == {}

    def test_replaces_a_file_and_leaves_no_temporary_file(self, table, tmp_path, writer, suffix):
        path = tmp_path / f"bio{suffix}"
        path.write_text("old")
        writer(table, path)
        writer(table, path)
        beside = set() if suffix in BY_THEMSELVES else {f"bio{suffix}.receipt.json"}
        assert {each.name for each in tmp_path.iterdir()} == {path.name, *beside}

    def test_the_named_index_is_kept_as_a_column(self, table, tmp_path, writer, suffix):
        path = writer(table.set_index("pid"), tmp_path / f"bio{suffix}")
        assert "pid" in read(path)

    def test_the_table_itself_is_not_changed(self, table, tmp_path, writer, suffix):
        before = table.copy()
        writer(table, tmp_path / f"bio{suffix}")
        pd.testing.assert_frame_equal(table, before)
        assert table.attrs == before.attrs


@pytest.mark.parametrize(("writer", "suffix"), WRITERS)
class TestRefusals:
    def test_no_such_directory(self, table, tmp_path, writer, suffix):
        with pytest.raises(ExportError, match="no such directory") as caught:
            writer(table, tmp_path / "none" / f"bio{suffix}")
        assert caught.value.hint == "create the directory, or check the name"

    def test_a_directory(self, table, tmp_path, writer, suffix):
        path = tmp_path / f"bio{suffix}"
        path.mkdir()
        with pytest.raises(ExportError, match="it is a directory"):
            writer(table, path)

    def test_a_file_in_place_of_a_directory(self, table, tmp_path, writer, suffix):
        (tmp_path / "file").touch()
        with pytest.raises(ExportError, match="a part of the path is a file"):
            writer(table, tmp_path / "file" / f"bio{suffix}")

    def test_a_full_device(self, table, tmp_path, writer, suffix):
        if not Path("/dev/full").exists():
            pytest.skip("this machine has no /dev/full")
        path = tmp_path / f"bio{suffix}"
        path.symlink_to("/dev/full")
        with pytest.raises(ExportError, match="the disk is full") as caught:
            writer(table, path)
        assert "free some space" in str(caught.value)

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
    def test_what_the_system_refuses_half_way_leaves_nothing(
        self, table, tmp_path, monkeypatch, writer, suffix, number
    ):
        path = tmp_path / f"bio{suffix}"
        path.write_text("old")

        def refuse(_descriptor):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(ExportError, match=r"cannot write .*bio") as caught:
            writer(table, path)
        assert caught.value.hint
        assert [each.name for each in tmp_path.iterdir()] == [path.name]
        assert path.read_text() == "old"

    def test_values_of_different_types_in_a_column(self, tmp_path, writer, suffix):
        mixed = pd.DataFrame({"x": [1, "a", object()]}, dtype=object)
        with pytest.raises(ExportError, match="different types"):
            writer(mixed, tmp_path / f"bio{suffix}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")
@pytest.mark.parametrize(("writer", "suffix"), WRITERS)
def test_a_full_disk_leaves_no_part_of_a_file(tmp_path, writer, suffix):
    libc = ctypes.CDLL(None, use_errno=True)
    noise = np.random.default_rng(1).integers(0, 2**63, 100_000)
    child = os.fork()
    if not child:
        os._exit(_fill(libc, tmp_path, writer, suffix, pd.DataFrame({"x": noise})))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 77:
        pytest.skip("this container may not mount a tmpfs")
    assert status == 0


def _fill(libc, directory, writer, suffix, frame):
    """In a mount namespace of its own, write to a disk of 64 KiB. Returns an exit status."""
    target = str(directory).encode()
    if libc.unshare(0x00020000) or libc.mount(None, b"/", None, 1 << 18 | 16384, None):
        return 77
    if libc.mount(b"tmpfs", target, b"tmpfs", 0, b"size=64k"):
        return 77
    try:
        writer(frame, directory / f"bio{suffix}")
    except ExportError as error:
        return 0 if "disk is full" in str(error) and not list(directory.iterdir()) else 2
    except BaseException:
        return 3
    return 1


class TestCsv:
    def test_it_is_plain(self, table, tmp_path):
        text = tabular.to_csv(table.tail(1), tmp_path / "bio.csv").read_text("utf-8")
        assert text == (
            "time,pid,ret,bytes,latency_us,ok,comm\n"
            '"2023-11-14T22:13:20.000000000Z",4294967295,3,0,,false,""\n'
        )

    def test_pandas_reads_it_without_the_sidecar(self, table, tmp_path):
        path = tabular.to_csv(table, tmp_path / "bio.csv")
        tabular.sidecar(path).unlink()
        back = pd.read_csv(path, keep_default_na=False)
        assert back["comm"].tolist() == table["comm"].tolist()
        assert read(path)["pid"].tolist() == table["pid"].tolist()

    def test_the_sidecar_has_the_receipt(self, table, tmp_path):
        tabular.to_csv(table, tmp_path / "bio.csv")
        notes = json.loads((tmp_path / "bio.csv.receipt.json").read_text())
        assert notes["receipt"] == RECEIPT

    def test_formulas_are_kept_as_they_are_unless_asked(self, table, tmp_path):
        path = tabular.to_csv(table, tmp_path / "bio.csv")
        assert ',"=cmd' in path.read_text("utf-8")

    def test_escapes_formulas_on_request_and_reads_them_back(self, table, tmp_path):
        path = tabular.to_csv(table, tmp_path / "bio.csv", escape_formulas=True)
        assert ",\"'=cmd" in path.read_text("utf-8")
        pd.testing.assert_frame_equal(read(path), table)

    @given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=8))
    def test_reads_back_any_text(self, tmp_path_factory, texts):
        path = tmp_path_factory.mktemp("csv") / "x.csv"
        frame = pd.DataFrame({"n": range(len(texts)), "text": pd.array(texts, dtype="str")})
        for escape in (False, True):
            tabular.to_csv(frame, path, escape_formulas=escape)
            pd.testing.assert_frame_equal(read(path), frame)


class TestReading:
    def test_a_sidecar_of_before_the_schema_was_kept_is_read(self, table, tmp_path):
        path = tabular.to_csv(table, tmp_path / "bio.csv")
        notes = json.loads(tabular.sidecar(path).read_text())
        for name in ("schema", "categories", "infinite"):
            del notes[name]
        tabular.sidecar(path).write_text(json.dumps(notes))
        pd.testing.assert_frame_equal(read(path), table)

    def test_an_unknown_suffix_is_refused_with_those_known(self, tmp_path):
        with pytest.raises(ExportError, match=r"'\.xlsx' files cannot be read back") as caught:
            read(tmp_path / "bio.xlsx")
        assert ".parquet" in str(caught.value)

    @pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet", ".arrow"])
    def test_reports_a_missing_file(self, tmp_path, suffix):
        with pytest.raises(ExportError, match="there is no such directory or file"):
            read(tmp_path / f"none{suffix}")

    @pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
    def test_refuses_a_file_with_the_wrong_extension(self, tmp_path, suffix):
        path = tmp_path / f"bio{suffix}"
        path.write_text("not a table of any kind")
        with pytest.raises(ExportError, match="cannot read"):
            read(path)

    def test_a_sidecar_of_a_later_version_is_refused(self, table, tmp_path):
        path = tabular.to_csv(table, tmp_path / "bio.csv")
        tabular.sidecar(path).write_text('{"version": 99}')
        with pytest.raises(ExportError, match="version 99 is not known"):
            read(path)


class TestArrow:
    def test_other_readers_see_the_columns_and_the_receipt(self, table, tmp_path):
        path = tabular.to_arrow(table, tmp_path / "bio.feather")
        pd.testing.assert_frame_equal(pd.read_feather(path), table)
        with pyarrow.ipc.open_file(path) as reader:
            assert json.loads(reader.schema.metadata[b"kernelscope"]) == RECEIPT


class TestPlaces:
    def test_a_link_is_followed(self, table, tmp_path):
        (tmp_path / "real.csv").touch()
        (tmp_path / "link.csv").symlink_to("real.csv")
        tabular.to_csv(table, tmp_path / "link.csv")
        assert (tmp_path / "link.csv").is_symlink()
        assert (tmp_path / "real.csv").stat().st_size

    def test_a_device_is_written_to_and_not_replaced(self, table):
        tabular.to_csv(table, os.devnull)
        assert not Path(os.devnull).is_file()
        assert not Path("/dev/null.receipt.json").exists()


class TestSidecars:
    def test_files_of_one_name_and_several_formats_keep_their_own(self, table, tmp_path):
        other = pd.DataFrame({"n": [1]})
        other.attrs["kernelscope"] = {"name": "other"}
        first = tabular.to_csv(table, tmp_path / "bio.csv")
        second = tabular.to_json(other, tmp_path / "bio.json")

        pd.testing.assert_frame_equal(read(first), table)
        assert read(first).attrs == table.attrs
        assert read(second).attrs == other.attrs

    def test_a_sidecar_under_its_older_name_is_read(self, table, tmp_path):
        path = tabular.to_csv(table, tmp_path / "bio.csv")
        tabular.sidecar(path).rename(tmp_path / "bio.receipt.json")

        pd.testing.assert_frame_equal(read(path), table)
        path.rename(tmp_path / "bio.json")
        with pytest.raises(ExportError):  # CSV is not JSON; the sidecar is of another file
            read(tmp_path / "bio.json")

    def test_pandas_finds_the_receipt_of_a_parquet_file(self, table, tmp_path):
        path = tabular.to_parquet(table, tmp_path / "bio.parquet")

        assert pd.read_parquet(path).attrs == table.attrs
