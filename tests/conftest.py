"""Shared by all tests: whether this kernel allows BPF, and the report at the end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kernelscope.tracing.agent_client import Agent


# A shell starts its background jobs with SIGINT ignored, and so would everything started here:
# tests interrupt runs, cells and command lines.
signal.signal(signal.SIGINT, signal.default_int_handler)


@cache
def kernel_refusal() -> str | None:
    """Return why no BPF program can be loaded on this machine; None if one can.

    It asks the kernel itself, not the agent: a broken agent must fail the tests that need it, not
    skip them.
    """
    if sys.platform != "linux":
        return f"this is {sys.platform}: BPF is a part of the Linux kernel"
    from kernelscope.agent.server import doctor

    refused = doctor.refusal()
    if refused is not None and not _sudo():
        return f"this user may not load BPF programs ({refused})"
    import_bcc = ["/usr/bin/python3", "-I", "-c", "import bcc"]
    if subprocess.run(import_bcc, capture_output=True).returncode:
        return "the distribution's Python has no bcc"
    return None


def _sudo() -> bool:
    return (
        which("sudo") is not None
        and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    needing = [item for item in items if item.get_closest_marker("kernel")]
    reason = kernel_refusal() if needing else None
    if reason is not None:
        for item in needing:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def agent() -> Iterator[Agent]:
    """One agent for tests that leave it intact; a test that harms it starts its own."""
    from kernelscope.tracing.agent_client import Agent

    with Agent.start() as started:
        yield started


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the test in an empty folder, for what it writes by relative names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _skip_reason(report: pytest.TestReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--list-skipped",
        metavar="FILE",
        help="write the names of the probes' tests that were skipped: another kernel may run them",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = Counter(_skip_reason(report) for report in terminalreporter.stats.get("skipped", ()))
    for reason, count in skipped.most_common():
        terminalreporter.write_line(f"skipped {count}: {reason}")
    listing = terminalreporter.config.getoption("--list-skipped")
    if listing:
        probes = [
            report.nodeid
            for report in terminalreporter.stats.get("skipped", ())
            if report.nodeid.startswith("tests/probes/") and "kernel" in report.keywords
        ]
        Path(listing).write_text("".join(f"{name}\n" for name in probes))


def pytest_unconfigure(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return
    passed, failed, errors, skipped = (
        len(reporter.stats.get(key, ())) for key in ("passed", "failed", "error", "skipped")
    )
    if passed or failed or errors or skipped:
        reporter.write_line(f"{passed} passed, {failed + errors} failed, {skipped} skipped")
