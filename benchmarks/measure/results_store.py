"""The results in results/results.json: each part with the time and form of its own run."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measure.measurement import RESULTS, Figure, Form

PATH = RESULTS / "results.json"


@dataclass(frozen=True)
class Part:
    """The figures of one run of a part, for each round."""

    at: str
    full: bool
    headers: str
    took_s: float
    rounds: tuple[tuple[Figure, ...], ...]

    @property
    def rows(self) -> list[str]:
        """Return the rows, in the order of measurement."""
        return list(dict.fromkeys(f.row for figures in self.rounds for f in figures))

    def measures(self, row: str | None = None) -> list[str]:
        """Return the measures of one row or of all."""
        every = [f for figures in self.rounds for f in figures]
        return list(dict.fromkeys(f.measure for f in every if row in (None, f.row)))

    def tools(self, row: str) -> list[str]:
        """Return the tools with figures in a row."""
        return list(
            dict.fromkeys(f.tool for figures in self.rounds for f in figures if f.row == row)
        )

    def values(self, row: str, measure: str, tool: str) -> list[float]:
        """Return one value per round."""
        key = (row, measure, tool)
        return [
            f.value for figures in self.rounds for f in figures if (f.row, f.measure, f.tool) == key
        ]


def read() -> tuple[dict[str, Any], dict[str, Part]]:
    """Return the machine and the stored parts."""
    if not PATH.exists():
        return {}, {}
    data = json.loads(PATH.read_text(encoding="utf-8"))
    parts = {name: _part(item) for name, item in data.get("parts", {}).items()}
    return data.get("machine", {}), parts


def _part(item: dict[str, Any]) -> Part:
    rounds = tuple(tuple(Figure(*figure) for figure in figures) for figures in item.pop("rounds"))
    return Part(rounds=rounds, **item)


def add(
    name: str, form: Form, headers: str, took_s: float, rounds: Sequence[Sequence[Figure]]
) -> None:
    """Replace a part's earlier results."""
    _, parts = read()
    at = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    parts[name] = Part(at, form.full, headers, round(took_s, 1), tuple(map(tuple, rounds)))
    data = {"machine": machine(), "parts": {key: _plain(part) for key, part in parts.items()}}
    text = json.dumps(data, indent=1)
    # One line per figure.
    text = re.sub(r"\[\s+(\"[^\[\]]*?)\s+\]", lambda m: "[" + _one_line(m[1]) + "]", text)
    PATH.write_text(text + "\n", encoding="utf-8")


def _one_line(text: str) -> str:
    return re.sub(r",\n\s+", ", ", text)


def _plain(part: Part) -> dict[str, Any]:
    rounds = [[list(asdict(figure).values()) for figure in figures] for figures in part.rounds]
    return {
        "at": part.at,
        "full": part.full,
        "headers": part.headers,
        "took_s": part.took_s,
        "rounds": rounds,
    }


def machine() -> dict[str, Any]:
    """Describe this machine."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "cpu": cpu.group(1) if cpu else "",
        "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else 0,
        "python": platform.python_version(),
        "bpftrace": _version("bpftrace", "--version"),
        "bcc": _version("/usr/bin/python3", "-c", "import bcc; print(bcc.__version__)"),
        "hypervisor": "hypervisor" in Path("/proc/cpuinfo").read_text(),
    }


def _version(*command: str) -> str:
    output = subprocess.run(command, capture_output=True, text=True).stdout
    found = re.search(r"v?(\d[\w.]*)", output)
    return found.group(1) if found else "?"
