"""Runs workers and collects what they found: undocumented errors, crashes and hangs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field

from tools.fuzz.targets import ROOT, TARGETS


@dataclass
class Findings:
    """The outcome for one target. errors: distinct findings, and how often each occurred."""

    target: str
    inputs: int = 0
    slowest_s: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    examples: dict[str, int] = field(default_factory=dict)  # the first input of each finding

    def add(self, found: str, number: int) -> None:
        """Count a finding."""
        key = found[:160]
        self.errors[key] += 1
        self.examples.setdefault(key, number)


def run(name: str, *, seed: int, first: int = 0, count: int) -> Findings:
    """Feed a target inputs; after a crash or a hang, continue with the next one."""
    found = Findings(TARGETS[name].name)
    end = first + count
    while first < end:
        first = _batch(found, name, seed, first, end - first)
    return found


def _batch(found: Findings, name: str, seed: int, first: int, count: int) -> int:
    """Run one worker; return the number of the next input to try."""
    command = [sys.executable, "-m", "tools.fuzz.worker", name, str(seed), str(first), str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    current = first - 1
    for line in done.stdout.splitlines():
        event = json.loads(line)
        current = event.get("input", current)
        if "done" in event:
            found.inputs += 1
            found.slowest_s = max(found.slowest_s, event["seconds"])
            if event["error"]:
                found.add(event["error"], event["done"])
    if done.returncode == 0:
        return first + count
    if current < first:  # the worker could not start
        raise RuntimeError(done.stderr)
    found.inputs += 1
    what = {-14: "hangs", -11: "crashes (SIGSEGV)", -6: "crashes (SIGABRT)"}
    found.add(what.get(done.returncode, f"ends the process ({done.returncode})"), current)
    return current + 1
