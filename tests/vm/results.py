"""What a guest reported, and whether that is a success.

A guest writes one JSON object a line: {"event": "plan", "tests": [...]} first, then "start" and
"result" for each test, and "end" with pytest's exit status. A success is a guest that said all of
it: a test that was planned and never reported has failed, and so has one that was skipped, for
the guest has all that the tests need. A probe's test that an error of KernelScope's ended
("refused") has failed too, unless the record says that this kernel refuses the probe.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

STARTS = "tests/vm/test_probes_start.py"


@dataclass
class Outcome:
    """How one test went. state: "passed", "failed", "skipped" or "refused"; text: why.

    properties: what the test recorded about itself.
    """

    test: str
    state: str
    seconds: float = 0.0
    text: str = ""
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass
class Results:
    """The results of one guest."""

    planned: list[str] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    running: str = ""
    status: int | None = None
    ended_early: str | None = None

    def take(self, line: str) -> Outcome | None:
        """Take one line of the guest's report; return what it says of a test, if it does."""
        try:
            report = json.loads(line)
            event = report["event"]
        except (ValueError, TypeError, KeyError):
            return None  # never counted as anything, so the test it was about stays unreported
        if event == "plan":
            self.planned = list(report["tests"])
        elif event == "start":
            self.running = report["test"]
        elif event == "end":
            self.status = int(report["status"])
            self.running = ""
        elif event == "result":
            return self._result(report)
        return None

    def _result(self, report: dict[str, Any]) -> Outcome | None:
        outcome = Outcome(
            report["test"],
            report["state"],
            float(report.get("seconds", 0.0)),
            str(report.get("text", "")),
            dict(report.get("properties", {})),
        )
        before = self.outcomes.get(outcome.test)
        if before is not None and before.state != "passed":
            return None  # a failed set-up or test stays failed despite a clean end
        self.outcomes[outcome.test] = outcome
        return outcome

    def problems(self, refused: Collection[str] = ()) -> Iterator[str]:
        """Yield the reasons why this guest is not a success; none if it is one.

        refused: the probes that this kernel is known to refuse.
        """
        expected = [outcome for outcome in self.refused if _is_of_any(outcome.test, refused)]
        if self.ended_early is not None:
            where = f" in {self.running}" if self.running else ""
            yield f"the guest was ended: {self.ended_early}{where}"
        elif self.status is None:
            yield "the guest ended without saying so"
        elif self.status != 0 and not (self.status == 1 and expected):
            yield f"pytest exited with {self.status}"
        if not self.planned:
            yield "no test was planned"
        for test in self.planned:
            outcome = self.outcomes.get(test)
            if outcome is None:
                yield f"{test} was never reported"
            elif outcome.state != "passed" and outcome not in expected:
                yield f"{test} {outcome.state}"
        for test in self.outcomes:
            if test not in self.planned:
                yield f"{test} {self.outcomes[test].state}, unplanned"

    @property
    def refused(self) -> list[Outcome]:
        """The outcomes of the tests that the kernel refused."""
        return [outcome for outcome in self.outcomes.values() if outcome.state == "refused"]

    @property
    def passed(self) -> int:
        """How many tests passed."""
        return sum(outcome.state == "passed" for outcome in self.outcomes.values())


def hook_row(results: Results) -> dict[str, str]:
    """Return the result of each kind of hook: "yes", or a short reason.

    A test names the kind that it counts with the property "hook", and with "absent" one that it
    saw refused as it should be. A kind of which any test failed is "failed".
    """
    row: dict[str, str] = {}
    for outcome in results.outcomes.values():
        kind = outcome.properties.get("hook")
        if kind is None:
            continue
        seen = outcome.properties.get("absent", "yes") if outcome.state == "passed" else "failed"
        row[kind] = "failed" if row.get(kind) == "failed" else str(seen)
    return row


def probe_rows(results: Results) -> dict[str, dict[str, Any]]:
    """Return the run with most rows of each probe whose checks all passed; else how it started.

    A check notes its runs (probes/checking.py) as the property "runs".
    """
    rows: dict[str, dict[str, Any]] = {}
    failed: set[str] = set()
    started: dict[str, dict[str, Any]] = {}
    for outcome in results.outcomes.values():
        start = outcome.properties.get("started")
        if start is not None and outcome.state == "passed":
            started[start["probe"]] = {"hooks": start["hooks"]}
        for run in outcome.properties.get("runs", ()):
            name, before = run["probe"], rows.get(run["probe"])
            if outcome.state != "passed":
                failed.add(name)
            if before is None or run["rows"] > before["rows"]:
                rows[name] = {key: value for key, value in run.items() if key != "probe"}
    checked = {name: row for name, row in rows.items() if name not in failed}
    return {**started, **checked}


def refused_probes(results: Results, probes: Collection[str]) -> dict[str, str]:
    """Return the probes that the kernel refused in every test of theirs, and why."""
    found: dict[str, str] = {}
    for name in probes:
        of_probe = [each for each in results.outcomes.values() if _is_of_any(each.test, [name])]
        if of_probe and all(each.state == "refused" for each in of_probe):
            found[name] = of_probe[0].text
    return found


def _is_of_any(test: str, probes: Collection[str]) -> bool:
    """Whether a test is about one of the probes: by its parameter, or by how its name begins."""
    file, _, function = test.partition("::test_")
    if file == STARTS:
        return any(function == f"starts[{name}]" for name in probes)
    return file.startswith("tests/probes/") and any(
        function.partition("[")[0].startswith(f"{name}_") for name in probes
    )
