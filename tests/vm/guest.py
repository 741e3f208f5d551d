"""Run the tests inside a guest and report each to /out/results (results.py says how)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kernelscope.errors import AttachError, CompileError, RunError, VerifierError
from kernelscope.tracing import agent_client

ROOT = Path(__file__).resolve().parents[2]
REPORT = Path("/out/results")
DISK = Path("/disk")
PATIENCE_S = 240.0  # on a busy machine an emulated agent takes minutes to start
REFUSALS = (AttachError, CompileError, RunError, VerifierError)


class Reporter:
    """A pytest plugin that writes what happens as it happens."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._refusal = ""

    def say(self, **report: Any) -> None:
        """Write one line."""
        self._file.write(json.dumps(report) + "\n")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            text = str(report.longrepr)
            self.say(event="result", test=report.nodeid, state="failed", text=text)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.say(event="plan", tests=[item.nodeid for item in session.items])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.say(event="start", test=nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        error = call.excinfo.value if call.excinfo else None
        self._refusal = error.message if isinstance(error, REFUSALS) else ""
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        self.say(
            event="result",
            test=report.nodeid,
            state="refused" if self._refusal else report.outcome,
            seconds=round(report.duration, 1),
            text=self._refusal or _why(report),
            properties=dict(report.user_properties),
        )


def _why(report: pytest.TestReport) -> str:
    if report.outcome == "passed":
        return ""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    return str(report.longrepr)


def main(arguments: Sequence[str]) -> int:
    """Run pytest on the arguments; return its exit status."""
    os.chdir(ROOT)
    agent_client.START_TIMEOUT_S = PATIENCE_S
    reporter = Reporter(REPORT)
    status = 70
    try:
        options = ["-p", "no:terminal", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
        options.append(f"--basetemp={DISK / 'tmp'}")
        status = int(pytest.main([*options, *arguments], plugins=[reporter]))
    finally:
        reporter.say(event="end", status=status)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
