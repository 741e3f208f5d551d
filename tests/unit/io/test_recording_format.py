"""docs/recordings.md says all that a reader needs: this one knows nothing else of the format."""

from __future__ import annotations

import json
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernelscope
from kernelscope.errors import KernelScopeError, LostEventsWarning
from kernelscope.io import recording
from kernelscope.protocol.layout import Field, Layout
from kernelscope.tables import results

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/recordings.md").read_text(encoding="utf-8")
RECORDINGS = sorted((ROOT / "notebooks/recordings").rglob("*.ksr"))
each = pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)

Block = tuple[dict[str, Any], bytes]


def blocks(data: bytes) -> Iterator[Block]:
    magic = re.search(r'"(KernelScope recording \d+\\n)"', TEXT)
    assert magic is not None
    first = magic[1].replace("\\n", "\n").encode()
    assert data.startswith(first)
    at = len(first)
    assert f"{at} bytes, including the version" in TEXT
    while at < len(data):
        stored, check, packing = struct.unpack_from("<III", data, at)
        body = data[at + 12 : at + 12 + stored]
        assert zlib.crc32(body) == check
        plain = zlib.decompress(body) if packing == 1 else body
        line, _, raw = plain.partition(b"\n")
        found = json.loads(line)
        assert found.pop("bytes", 0) == len(raw)
        yield found, raw
        at += 12 + stored


def told(heading: str) -> set[str]:
    """The names in the first column of the table below a heading."""
    part = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*`) \|", part, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


@each
def test_a_reader_written_from_the_page_finds_the_same_frames(path: Path) -> None:
    header, *frames = blocks(path.read_bytes())

    assert header[0] == recording.read_header(path)
    ours = [(frame.header, bytes(frame.payload)) for frame in recording.replay(path)]
    assert frames == ours


@each
def test_it_finds_as_many_records_as_the_tables_have_rows(path: Path) -> None:
    frames = list(blocks(path.read_bytes()))[1:]
    if any(header["type"] == "error" for header, _ in frames):
        with pytest.raises(KernelScopeError):
            kernelscope.open(path)
        return
    if any(header["type"] == "map" or header.get("stride") == 0 for header, _ in frames):
        return
    rows = 0
    for header, raw in frames:
        if header["type"] == "batch" and header["form"] == "ring":
            assert len(raw) == header["stride"] * header["records"]
            lengths = np.frombuffer(raw, "<u4").reshape(header["records"], -1)[:, 0]
            rows += int((lengths < 1 << 30).sum())  # neither busy nor discarded
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LostEventsWarning)  # a notebook's lesson
        found = results.by_name(kernelscope.open(path))
    assert rows == sum(len(table) for table in found.values())


def test_documents_every_header_key_and_frame_type() -> None:
    found = [list(blocks(path.read_bytes())) for path in RECORDINGS]

    assert {key for header, *_ in found for key in header[0]} == told("Header")
    types = {str(frame[0]["type"]) for _, *frames in found for frame in frames}
    assert {"attached", "batch", "map", "receipt", "status"} <= types <= told("Frames")


@pytest.mark.parametrize("kind", [Layout, Field])
def test_documents_layouts_and_fields(kind: Any) -> None:
    names = kind.__dataclass_fields__
    assert [name for name in names if f"`{name}`" not in TEXT] == []
