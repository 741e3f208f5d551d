"""Record the probes and the quickstart's cell on this kernel: the work of script/record-demo.

The load runs as `nobody`, and only that user is recorded, so that a recording contains nothing
about the rest of the machine. (biolatency and runqlat name no process.)
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from kernelscope.io import recording
from kernelscope.probe import catalogue
from kernelscope.tracing.session import Session
from kernelscope.ui import command_line

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"
RECORDINGS = ROOT / "notebooks" / "recordings"
LOAD = ROOT / "tools" / "notebooks" / "demo_load.py"
SECONDS = 3
LARGEST = 256 << 10
USER = "nobody"
# The probes for which the load makes events, including those of the notebooks.
PROBES = (
    "biolatency",
    "biosnoop",
    "execsnoop",
    "opensnoop",
    "profile",
    "runqlat",
    "syscount",
    "tcplife",
)


def cells() -> dict[str, str]:
    """Return the C of the notebook's %%ebpf cells by the name that -o gives their results."""
    found = {}
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        first, _, text = cell.source.partition("\n")
        if first.startswith("%%ebpf"):
            parsed = command_line.parse(
                command_line.split(first.removeprefix("%%ebpf")), catalogue.find
            )
            found[parsed.given["out"]] = text
    return found


def start_load() -> subprocess.Popen[bytes]:
    """Start the load; it waits for a line."""
    command = ["/usr/bin/python3", "-I", "-c", LOAD.read_text(encoding="utf-8"), str(SECONDS)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, cwd="/", user=USER, extra_groups=())


def record(session: Session, name: str, what: Mapping[str, Any], filters: Mapping[str, Any]) -> int:
    """Record one program under the load and return the bytes of the packed recording."""
    path = RECORDINGS / f"{name}.ksr"
    with tempfile.TemporaryDirectory() as folder, start_load() as load:
        plain = Path(folder) / path.name
        run = session.start(**what, duration=SECONDS, record=plain, **filters)
        load.communicate(b"go\n")
        run.result()
        with recording.Recorder(path, recording.read_header(plain), compress=True) as packed:
            for frame in recording.replay(plain):
                packed.add(frame)
    return path.stat().st_size


def main() -> int:
    """Record everything; the exit status is 1 if a recording is too large for the repository."""
    RECORDINGS.mkdir(exist_ok=True)
    whole_machine = [name for name in PROBES if catalogue.find(name).filters == "none"]
    wanted: dict[str, dict[str, Any]] = {name: {"probe": name} for name in PROBES}
    wanted |= {name: {"source": text} for name, text in cells().items()}
    too_large = False
    with Session() as session:
        for name, what in wanted.items():
            filters = {} if name in whole_machine else {"uid": USER}
            size = record(session, name, what, filters)
            print(f"{name}: {size:,} bytes")
            too_large = too_large or size > LARGEST
    if too_large:
        print(f"error: a recording is larger than {LARGEST:,} bytes", file=sys.stderr)
    return int(too_large)


if __name__ == "__main__":
    sys.exit(main())
