"""What is fuzzed: for each reader, seeds, how an input is made of one, and how it is read.

A reader may raise the errors that it documents, and nothing else; it may take a few seconds and a
few hundred MiB, and no more. A new reader of data from outside gets a line in TARGETS.
"""

from __future__ import annotations

import json
import random
import struct
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from kernelscope.errors import ExportError, KernelScopeError
from tools.fuzz.mutations import mutated_bytes, mutated_json

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Target:
    """One reader. make: an input. read: reads it. allowed: errors that it documents."""

    name: str
    reads: str
    make: Callable[[random.Random], bytes]
    read: Callable[[bytes, Path], object]
    packages: tuple[str, ...]
    allowed: tuple[type[Exception], ...] = (KernelScopeError,)


# --- recordings ----------------------------------------------------------------------------------

_BLOCK = struct.Struct("<III")


@cache
def _recordings() -> list[bytes]:
    paths = sorted((ROOT / "notebooks" / "recordings").glob("**/*.ksr"))
    small = [path for path in paths if path.stat().st_size < 20_000]
    return [path.read_bytes() for path in small]


def _blocks(data: bytes) -> tuple[bytes, list[bytes]]:
    magic, at = data[: data.index(b"\n") + 1], data.index(b"\n") + 1
    found = []
    while at < len(data):
        stored, _, packing = _BLOCK.unpack_from(data, at)
        body = data[at + 12 : at + 12 + stored]
        found.append(zlib.decompress(body) if packing else body)
        at += 12 + stored
    return magic, found


def _recording(rng: random.Random) -> bytes:
    """Forge a recording whose checksums are right, or damage one."""
    data = rng.choice(_recordings())
    if rng.random() < 0.2:
        return mutated_bytes(data, rng)
    magic, blocks = _blocks(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(blocks))
        line, _, payload = blocks[at].partition(b"\n")
        kind = rng.randrange(4)
        if kind == 0:
            payload = mutated_bytes(payload, rng) if payload else payload
        elif kind == 1 and payload.startswith(b"{"):
            payload = json.dumps(mutated_json(json.loads(payload), rng)).encode()
        elif kind == 2:
            blocks.insert(rng.randrange(len(blocks) + 1), blocks[at])
            continue
        else:
            header = mutated_json(json.loads(line), rng)
            line = json.dumps(header).encode()
        blocks[at] = _with_size(line, payload) + b"\n" + payload
    packed = [zlib.compress(block) if rng.random() < 0.5 else block for block in blocks]
    packing = [int(p is not b) for p, b in zip(packed, blocks, strict=True)]
    heads = [_BLOCK.pack(len(p), zlib.crc32(p), k) for p, k in zip(packed, packing, strict=True)]
    return magic + b"".join(head + body for head, body in zip(heads, packed, strict=True))


def _with_size(line: bytes, payload: bytes) -> bytes:
    try:
        header = json.loads(line)
    except ValueError:
        return line
    if isinstance(header, dict) and payload and "bytes" in header:
        header["bytes"] = len(payload)
    return json.dumps(header).encode()


def _replay(data: bytes, folder: Path) -> object:
    from kernelscope.tracing.replay import Replay
    from kernelscope.tracing.run import Run

    path = folder / "x.ksr"
    path.write_bytes(data)
    replay = Replay(path)
    run = Run(replay, replay.request, recorded=True)
    result = run.result()
    tables = [result] if isinstance(result, pd.DataFrame) else list(result.values())
    return [repr(table) for table in tables]


# --- files of tables -----------------------------------------------------------------------------


@cache
def _table() -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime(["2026-01-01", "2026-01-02", ""], utc=True),
            "comm": ["bash", "=1+1", None],
            "operation": pd.Categorical(["read", "write", "read"]),
            "latency_us": [1.5, float("inf"), float("nan")],
            "pid": pd.array([1, 2, None], dtype="Int64"),
            "wait": pd.to_timedelta([1, 2, 3], unit="ns"),
        }
    )
    frame.attrs["kernelscope"] = {
        "name": "x", "probe": "biolatency", "lost": {"map_full": 3}, "duration_s": 1.5,
        "started": "2026-01-01T00:00:00.000+00:00", "recorded": False, "host": "h",
        "readings": {"count": "sum"}, "kernel": {"release": "6.18"},
    }  # fmt: skip
    return frame


@cache
def _written(suffix: str) -> tuple[bytes, bytes]:
    import kernelscope

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"x{suffix}"
        kernelscope.save(_table(), path)
        sidecar = path.with_name(f"{path.name}.receipt.json")
        return path.read_bytes(), sidecar.read_bytes() if sidecar.exists() else b""


def _file_of(suffix: str) -> Callable[[random.Random], bytes]:
    return lambda rng: mutated_bytes(_written(suffix)[0], rng)


def _sidecar_of(suffix: str) -> Callable[[random.Random], bytes]:
    def make(rng: random.Random) -> bytes:
        notes = _written(suffix)[1]
        if rng.random() < 0.2:
            return mutated_bytes(notes, rng)
        return json.dumps(mutated_json(json.loads(notes), rng)).encode()

    return make


def _metadata(rng: random.Random) -> bytes:
    """Make an Arrow file whose data is right and whose receipt is forged."""
    import pyarrow as pa

    table = pa.Table.from_pandas(_table(), preserve_index=False)
    metadata = dict(table.schema.metadata or {})
    receipt = mutated_json(_table().attrs["kernelscope"], rng)
    metadata[b"kernelscope"] = json.dumps(receipt).encode()
    if rng.random() < 0.3:
        metadata[b"kernelscope.categories"] = json.dumps(
            mutated_json({"operation": ["read", "write"]}, rng)
        ).encode()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema.with_metadata(metadata)) as writer:
        writer.write_table(table.replace_schema_metadata(metadata))
    return bytes(sink.getvalue())


def _read_as(suffix: str, *, sidecar: bool = False) -> Callable[[bytes, Path], object]:
    def read(data: bytes, folder: Path) -> object:
        import kernelscope
        from kernelscope import accessor

        accessor.register()
        path = folder / f"x{suffix}"
        path.write_bytes(_written(suffix)[0] if sidecar else data)
        if sidecar:
            path.with_name(f"{path.name}.receipt.json").write_bytes(data)
        frame: Any = kernelscope.read(path)
        return repr(frame), frame.ks.lost, repr(frame.ks)

    return read


# --- probes and options --------------------------------------------------------------------------


@cache
def _probes() -> list[bytes]:
    paths = sorted((ROOT / "bpf").glob("*/*.toml"))
    return [path.read_bytes() for path in paths]


def _probe(rng: random.Random) -> bytes:
    data = rng.choice(_probes())
    if rng.random() < 0.5:
        return mutated_bytes(data, rng)
    lines = data.decode().splitlines()
    for _ in range(rng.choice((1, 2, 4))):
        at = rng.randrange(len(lines))
        name = lines[at].partition("=")[0]
        value = rng.choice(
            ("nan", "inf", "-1", "1e400", '""', "[]", "{}", "true", "[[]]", '"{x}"', "10" * 30)
        )
        lines[at] = f"{name} = {value}" if rng.random() < 0.7 else rng.choice(lines)
    return "\n".join(lines).encode()


def _load_probe(data: bytes, folder: Path) -> object:
    from kernelscope.probe import loader, resolve

    path = folder / "mine.toml"
    path.write_bytes(data)
    path.with_suffix(".c").write_text("BPF_HASH(x);\nint f(void *ctx) { return 0; }\n")
    probe = loader.load(path, own=True)
    return resolve.usual_hooks(probe), resolve.tables(probe, probe.defaults())


_WORDS = (
    "-d", "--duration", "--pid", "--comm", "--uid", "--interval", "--ring", "--max-rows",
    "--record",
    "--max-entries", "--csv", "--type", "--attach", "-D", "--disk", "--function", "--values", "-o",
    "biolatency", "funccount", "trace", "syscount", "5", "inf", "1e400", "9" * 400, "-1", "~x/y",
    "~nosuchuser/x", "\0", "a=b", "=", "%s", "c:malloc", "'", '"', "#", "--", "-", "\ud800", "é",
    "0x" + "f" * 40, "1ms", "nan", "/proc/self/mem/x", "x" * 5000, "--by", "--window", "64K", "1G",
)  # fmt: skip


def _options(rng: random.Random) -> bytes:
    words = [rng.choice(("biolatency", "funccount", "trace", "opensnoop"))]
    words += rng.choices(_WORDS, k=rng.randrange(1, 7))
    return " ".join(words).encode("utf-8", "surrogatepass")


def _parse_options(data: bytes, _folder: Path) -> object:
    from kernelscope.probe import catalogue
    from kernelscope.tracing import options
    from kernelscope.ui import command_line

    parsed = command_line.parse(
        command_line.split(data.decode("utf-8", "surrogatepass")), catalogue.find, where="cli"
    )
    probe = parsed.probes[0] if parsed.probes else None
    return options.split(parsed.given, probe, where="cli")


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            "recording", "forged and damaged .ksr files, to the tables",
            _recording, _replay, ("kernelscope.io.recording", "kernelscope.tables"),
        ),
        Target(
            "arrow", "damaged .arrow files", _file_of(".arrow"), _read_as(".arrow"),
            ("kernelscope.io.tabular",), (ExportError,),
        ),
        Target(
            "parquet", "damaged .parquet files", _file_of(".parquet"), _read_as(".parquet"),
            ("kernelscope.io.tabular",), (ExportError,),
        ),
        Target(
            "metadata", "forged receipts in Arrow files", _metadata, _read_as(".arrow"),
            ("kernelscope.io.tabular",), (ExportError,),
        ),
        Target(
            "csv", "damaged .csv files", _file_of(".csv"), _read_as(".csv"),
            ("kernelscope.io.tabular",), (ExportError,),
        ),
        Target(
            "json", "damaged JSON lines", _file_of(".jsonl"), _read_as(".jsonl"),
            ("kernelscope.io.tabular",), (ExportError,),
        ),
        Target(
            "csv-sidecar", "forged sidecars of CSV", _sidecar_of(".csv"),
            _read_as(".csv", sidecar=True), ("kernelscope.io.arrow_types",), (ExportError,),
        ),
        Target(
            "json-sidecar", "forged sidecars of JSON lines", _sidecar_of(".jsonl"),
            _read_as(".jsonl", sidecar=True), ("kernelscope.io.arrow_types",), (ExportError,),
        ),
        Target(
            "probe", "custom probes' .toml files", _probe, _load_probe, ("kernelscope.probe",),
        ),
        Target(
            "options", "lines of options", _options, _parse_options,
            ("kernelscope.converters", "kernelscope.ui.command_line"),
        ),
    )
}  # fmt: skip


def run_one(target: Target, data: bytes, folder: Path) -> BaseException | None:
    """Read an input; return an error that the reader does not document."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.read(data, folder)
    except target.allowed:
        return None
    except Exception as error:
        return error
    return None


def inputs(target: Target, seed: int, numbers: Iterable[int]) -> Iterable[tuple[int, bytes]]:
    """Yield inputs by number; the same number and seed give the same input."""
    for number in numbers:
        yield number, target.make(random.Random(f"{target.name} {seed} {number}"))
