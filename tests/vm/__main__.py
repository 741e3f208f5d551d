"""Run the tests on stock kernels: the work of script/test-kernels.

    python -m vm [--record] [--reboot] [--self-test] [KERNEL...]

KERNEL is a series ("6.12"), a release or "newest", the newest backport; one after the other
5.10, 6.1, 6.12 and the newest without one.
"""

from __future__ import annotations

import argparse
import compileall
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vm import archive, machine
from vm.archive import ArchiveError, Kernel
from vm.machine import Limits, MachineError
from vm.results import STARTS, Outcome, Results, hook_row, probe_rows, refused_probes

from kernelscope.probe import catalogue
from tools.record import probe_records as probe_record

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "docs" / "kernels.json"
SERIES = ("5.10", "6.1", "6.12", archive.NEWEST)
AREAS = sorted(path.name for path in (ROOT / "bpf").iterdir() if path.name != "include")
CANNOT = 75  # EX_TEMPFAIL: no verdict on the tests
PROBE_TESTS = sorted(
    path for area in AREAS for path in (ROOT / "tests" / "probes").glob(f"test_{area}*.py")
)
# The last file changes what the kernel allows, for good: it runs after the probes' tests.
TESTS = (
    "tests/vm/test_hooks.py",
    "tests/vm/test_choice.py",
    "tests/vm/test_compiler.py",
    STARTS,
    "tests/vm/test_odd_machines.py",
)
SELF_TEST = ("tests/vm/test_runner_itself.py",)
_PARTS = ("bpf", "kernelscope", "tests", "tools", "workloads", "pyproject.toml")
_AGENT_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True)
class Guest:
    """One kernel's run and its verdict."""

    kernel: Kernel
    results: Results
    seconds: float
    console: list[str]

    @property
    def known_refusals(self) -> set[str]:
        """Return the probes that this series is known to refuse."""
        kernel = probe_record.read()["kernels"].get(self.kernel.series, {"probes": {}})
        return {name for name, seen in kernel["probes"].items() if "refused" in seen}

    def problems(self) -> list[str]:
        """Return why this guest is not a success; "" if it is one."""
        return list(self.results.problems(self.known_refusals))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the requested tests; 0 if every test passed on every kernel."""
    parser = argparse.ArgumentParser(prog="script/test-kernels", description=__doc__.split("\n")[0])
    parser.add_argument("kernels", nargs="*", metavar="KERNEL", default=SERIES)
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.relative_to(ROOT)}")
    parser.add_argument(
        "--self-test", action="store_true", help="check that failures and hangs are noticed"
    )
    parser.add_argument(
        "--reboot",
        action="store_true",
        help="boot a guest once more that ended early, with no test failed until then",
    )
    parser.add_argument("--only", action="append", help="run this file or test of tests/ instead")
    parser.add_argument(
        "--probe-tests",
        type=Path,
        metavar="FILE",
        help="of the probes' tests only those listed here (pytest --list-skipped=FILE)",
    )
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no guest is left running
    try:
        if options.self_test:
            return self_test(archive.fetch(options.kernels[-1]))
        tests = tuple(options.only or tests_to_run(options.probe_tests))
        return run_matrix(options.kernels, tests, record=options.record, reboot=options.reboot)
    except (ArchiveError, MachineError) as error:
        print(f"This machine cannot run a guest: {error}", file=sys.stderr)
        return CANNOT


def tests_to_run(listing: Path | None) -> list[str]:
    """Return all tests, or those of hooks and compiler with the probes' tests of a listing."""
    if listing is not None:
        probes = listing.read_text().split("\n")[:-1] if listing.exists() else []
        return [*(test for test in TESTS[:-1] if test != STARTS), *probes, TESTS[-1]]
    return [*TESTS[:-1], *(str(path.relative_to(ROOT)) for path in PROBE_TESTS), TESTS[-1]]


def run_matrix(
    wanted: Sequence[str], tests: Sequence[str], *, record: bool, reboot: bool = False
) -> int:
    """Run the tests on each kernel, one after another; 0 if all passed."""
    guests = []
    for name in wanted:
        kernel = archive.fetch(name)
        guest = run_kernel(kernel, tests, Limits())
        if reboot and gave_up(guest):
            show_verdict(guest)
            print("No test failed, but the guest ended early: it is booted once more.")
            guest = run_kernel(kernel, tests, Limits())
        guests.append(guest)
    print()
    if record:
        write_probes(guests)
    for guest in guests:
        show_verdict(guest)
    failed = any(guest.problems() for guest in guests)
    if record and not failed:
        write_record(RECORD, guests)
    return int(failed)


def gave_up(guest: Guest) -> bool:
    """Return whether a guest ended before its tests, without a failure: QEMU may be the cause."""
    failed = any(outcome.state != "passed" for outcome in guest.results.outcomes.values())
    return guest.results.ended_early is not None and not failed


def run_kernel(kernel: Kernel, tests: Sequence[str], limits: Limits) -> Guest:
    """Boot one kernel and run the tests in it, with a line for each as it ends."""
    print(f"== {kernel.release}", flush=True)
    results = Results()
    began = time.monotonic()

    def take(line: str) -> None:
        outcome = results.take(line)
        if outcome is not None:
            show_outcome(kernel, outcome)

    with tempfile.TemporaryDirectory(prefix="kernelscope-vm-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # some tests run as nobody
        tree = folder / "tree"
        copy_tree(tree)
        command = [sys.executable, str(tree / "tests" / "vm" / "guest.py"), *tests]
        results.ended_early = machine.run(kernel, command, environment(tree), folder, take, limits)
        console = machine.console_tail(folder)
    return Guest(kernel, results, time.monotonic() - began, console)


def copy_tree(target: Path) -> None:
    """Copy the files for the guest, so that they do not change while it runs.

    Python's bytecode is compiled here, which takes a twentieth of the time.
    """
    target.mkdir()
    for name in _PARTS:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target / name, ignore=ignored)
        else:
            shutil.copy2(source, target / name)
    compileall.compile_dir(target, quiet=2)
    for part in ("kernelscope", "tests", "tools", "workloads"):
        command = [_AGENT_PYTHON, "-m", "compileall", "-qq", str(target / part)]
        subprocess.run(command, capture_output=True)


def environment(tree: Path) -> dict[str, str]:
    """Return the variables of the guest's command."""
    return {
        "HOME": "/root",
        "KERNELSCOPE_GUEST": "1",
        "LANG": "C.UTF-8",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # their import takes seconds here
        "PYTHONPATH": f"{tree}:{tree / 'tests'}",
    }


# --- output ---------------------------------------------------------------------------------------


def show_outcome(kernel: Kernel, outcome: Outcome) -> None:
    """Print one test's line, and why it did not pass."""
    name = outcome.test.removeprefix("tests/")
    print(f"{kernel.series:<5} {outcome.state:<7} {outcome.seconds:6.1f} s  {name}", flush=True)
    if outcome.state == "refused":
        print(f"      | {outcome.text.splitlines()[0]}", flush=True)
    elif outcome.state != "passed":
        for line in outcome.text.rstrip().splitlines()[-60:]:
            print(f"      | {line}", flush=True)


def show_verdict(guest: Guest) -> None:
    """Print one kernel's line; if it failed, the reason and the end of a hung guest's console."""
    problems = guest.problems()
    verdict = "FAILED" if problems else "passed"
    planned = len(guest.results.planned)
    print(
        f"{guest.kernel.release}: {verdict}, {guest.results.passed} of {planned} tests passed, "
        f"{len(guest.results.refused)} refused, in {guest.seconds:.0f} s"
    )
    for problem in problems:
        print(f"  {problem}")
    if guest.results.status is None or not planned:
        print("  the last lines of its console:")
        for line in guest.console:
            print(f"    {line}")


def write_probes(guests: Sequence[Guest]) -> None:
    """Write the results of the probes whose checks passed; those of others stay."""
    for guest in guests:
        refused = refused_probes(guest.results, catalogue.names())
        rows = {
            **probe_rows(guest.results),
            **{name: {"refused": why} for name, why in refused.items()},
        }
        if rows:
            probe_record.note(guest.kernel.series, guest.kernel.release, rows)
            print(f"{guest.kernel.series}: {len(rows)} probes are in docs/probes.json")


def write_record(path: Path, guests: Sequence[Guest]) -> None:
    """Write which hooks work on which kernel, for the documents."""
    rows = {guest.kernel.series: hook_row(guest.results) for guest in guests}
    if not all(rows.values()):  # --only left the hooks' tests out
        return
    seen = {
        "releases": {guest.kernel.series: guest.kernel.release for guest in guests},
        "tests": {guest.kernel.series: guest.results.passed for guest in guests},
        "hooks": rows,
    }
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for part, found in seen.items():  # a kernel that was not run now keeps what it had
        record[part] = dict(sorted({**record.get(part, {}), **found}.items(), key=_by_series))  # type: ignore[dict-item]
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"{path.relative_to(ROOT)}  was written.")


def _by_series(item: tuple[str, object]) -> list[int]:
    return [int(part) for part in item[0].split(".")]


# --- the runner itself ----------------------------------------------------------------------------


def self_test(kernel: Kernel) -> int:
    """Run a test that passes, one that fails and one that hangs; 0 if each is reported."""
    guest = run_kernel(kernel, SELF_TEST, Limits(silence_s=45, total_s=240))
    show_verdict(guest)
    states = {
        test.rpartition("::")[2]: outcome.state for test, outcome in guest.results.outcomes.items()
    }
    noticed = {
        "a pass": states.get("test_passes") == "passed",
        "a failure": states.get("test_fails") == "failed",
        "a skip": states.get("test_is_skipped") == "skipped",
        "a hang": guest.results.ended_early is not None and "test_hangs" in guest.results.running,
        "the console": any("about to hang" in line for line in guest.console),
    }
    print()
    for what, right in noticed.items():
        print(f"self-test: {what} was {'noticed' if right else 'NOT NOTICED'}")
    return int(not all(noticed.values()))


if __name__ == "__main__":
    sys.exit(main())
