"""What script/test-kernels makes of what a guest reports: nothing but a whole success is one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from vm import __main__ as runner
from vm import archive, initramfs
from vm.archive import Kernel
from vm.results import Results, hook_row, probe_rows, refused_probes

from kernelscope.protocol import hook_kinds
from tools.record import probe_records as probe_record

RECORD = json.loads(runner.RECORD.read_text(encoding="utf-8"))
WHOLE = [
    {"event": "plan", "tests": ["a", "b"]},
    {"event": "start", "test": "a"},
    {"event": "result", "test": "a", "state": "passed", "properties": {"hook": "kprobe"}},
    {"event": "start", "test": "b"},
    {"event": "result", "test": "b", "state": "passed", "seconds": 1.5},
    {"event": "end", "status": 0},
]


def told(*reports: Any) -> Results:
    results = Results()
    for report in reports:
        results.take(report if isinstance(report, str) else json.dumps(report))
    return results


def test_a_guest_that_passed_everything_is_a_success() -> None:
    results = told(*WHOLE)
    assert list(results.problems()) == []
    assert results.passed == 2


@pytest.mark.parametrize("state", ["failed", "skipped"])
def test_a_test_that_did_not_pass_is_a_problem(state: str) -> None:
    results = told(*WHOLE[:4], {"event": "result", "test": "b", "state": state}, WHOLE[5])
    assert list(results.problems()) == [f"b {state}"]


def test_a_failure_when_tidying_up_undoes_a_pass() -> None:
    results = told(*WHOLE[:5], {"event": "result", "test": "b", "state": "failed"}, WHOLE[5])
    assert list(results.problems()) == ["b failed"]


def test_a_pass_does_not_undo_a_failure() -> None:
    failed = {"event": "result", "test": "b", "state": "failed"}
    assert list(told(*WHOLE[:4], failed, *WHOLE[4:]).problems()) == ["b failed"]


REFUSED = "tests/probes/test_cpu.py::test_runqlat_counts[1]"


def _refused(*others: dict[str, Any]) -> Results:
    result = {"event": "result", "test": REFUSED, "state": "refused", "text": "no such helper"}
    planned = [REFUSED, *(each["test"] for each in others)]
    more = [{"event": "result", **each} for each in others]
    return told({"event": "plan", "tests": planned}, result, *more, {"event": "end", "status": 1})


def test_a_refused_probe_is_a_problem_unless_it_is_recorded() -> None:
    assert list(_refused().problems({"runqlat"})) == []
    assert f"{REFUSED} refused" in list(_refused().problems())
    assert f"{REFUSED} refused" in list(_refused().problems({"run", "runqlat_counts"}))


def test_a_recorded_refusal_excuses_no_other_failure() -> None:
    failed = {"test": "tests/probes/test_cpu.py::test_runqlat_sums", "state": "failed"}
    assert list(_refused(failed).problems({"runqlat"})) == [f"{failed['test']} failed"]


def test_how_a_probe_started_is_noted_where_no_check_ran() -> None:
    test = "tests/vm/test_probes_start.py::test_starts[{}]"
    started = [
        {
            "event": "result",
            "test": test.format(name),
            "state": "passed",
            "properties": {"started": {"probe": name, "hooks": ["tp_btf:x"]}},
        }
        for name in ("runqlat", "runqlen")
    ]
    run = {"probe": "runqlat", "hooks": ["kprobe:y"], "rows": 7}
    checked = {"event": "result", "test": "c", "state": "passed", "properties": {"runs": [run]}}
    refused = {"event": "result", "test": test.format("profile"), "state": "refused", "text": "no"}
    results = told(*started, checked, refused)
    assert probe_rows(results) == {
        "runqlat": {"hooks": ["kprobe:y"], "rows": 7},
        "runqlen": {"hooks": ["tp_btf:x"]},
    }
    assert refused_probes(results, ["profile", "runqlat"]) == {"profile": "no"}


def test_a_listing_takes_the_place_of_all_that_is_about_probes(tmp_path: Path) -> None:
    listing = tmp_path / "listing"
    listing.write_text("tests/probes/test_cpu.py::test_a\n")
    tests = runner.tests_to_run(listing)
    assert [test for test in tests if "probes" in test] == ["tests/probes/test_cpu.py::test_a"]
    assert "tests/vm/test_probes_start.py" in runner.tests_to_run(None)


def test_a_probe_is_refused_only_where_none_of_its_tests_ran() -> None:
    passed = {"test": "tests/probes/test_cpu.py::test_runqlat_sums", "state": "passed"}
    assert refused_probes(_refused(), ["runqlat", "runqlen"]) == {"runqlat": "no such helper"}
    assert refused_probes(_refused(passed), ["runqlat"]) == {}


@pytest.mark.parametrize("line", ["", "not JSON", "[]", "{}", '{"event": "result", "test": "b", '])
def test_a_garbled_report_leaves_its_test_unreported(line: str) -> None:
    assert list(told(*WHOLE[:4], line, WHOLE[5]).problems()) == ["b was never reported"]


def test_a_guest_that_reports_nothing_is_no_success() -> None:
    problems = ["the guest ended without saying so", "no test was planned"]
    assert list(told().problems()) == problems


def test_pytests_own_failure_is_a_problem() -> None:
    assert list(told(*WHOLE[:5], {"event": "end", "status": 3}).problems()) == [
        "pytest exited with 3"
    ]


def test_a_hung_guest_is_told_with_the_test_it_hung_in() -> None:
    results = told(*WHOLE[:4])
    results.ended_early = "it reported nothing for 300 s"
    assert list(results.problems()) == [
        "the guest was ended: it reported nothing for 300 s in b",
        "b was never reported",
    ]


def test_the_scripts_exit_status_is_that_of_the_worst_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guests = {"6.1": told(*WHOLE), "6.12": told(*WHOLE[:4])}

    def run_kernel(kernel: Kernel, *_: Any) -> runner.Guest:
        return runner.Guest(kernel, guests[kernel.series], 1.0, ["last words"])

    monkeypatch.setattr(runner, "run_kernel", run_kernel)
    monkeypatch.setattr(archive, "fetch", lambda name: Kernel(name, f"{name}.0", Path()))
    assert runner.main(["6.1"]) == 0
    assert runner.main(["6.12"]) == 1
    assert runner.main(["6.1", "6.12"]) == 1


def test_a_machine_that_can_run_no_guest_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fetch(name: str) -> Kernel:
        raise archive.ArchiveError("no archive")

    monkeypatch.setattr(archive, "fetch", fetch)
    assert runner.main(["6.1"]) == runner.CANNOT
    assert "no archive" in capsys.readouterr().err


def test_a_kind_of_hook_is_as_good_as_its_worst_test() -> None:
    more = [
        {"test": "b", "state": "failed", "properties": {"hook": "kprobe"}},
        {"test": "c", "state": "passed", "properties": {"hook": "kprobe"}},
        {"test": "d", "state": "passed", "properties": {"hook": "hardware", "absent": "none"}},
        {"test": "e", "state": "passed", "properties": {"hook": "fentry"}},
    ]
    results = told(*WHOLE[:3], *({"event": "result", **report} for report in more))
    assert hook_row(results) == {"kprobe": "failed", "hardware": "none", "fentry": "yes"}


# --- kernels -------------------------------------------------------------------------------------

ARCHIVE = [
    "linux-image-6.1.0-9-cloud-amd64",
    "linux-image-6.1.0-56-cloud-amd64",
    "linux-image-6.1.0-56-cloud-amd64-unsigned",
    "linux-image-6.1.0-57-amd64",
    "linux-image-6.12-cloud-amd64",
    "linux-image-6.12.107+deb12-cloud-amd64",
    "linux-image-6.12.99+deb12-cloud-amd64",
]


@pytest.mark.parametrize(
    ("series", "release"),
    [
        ("6.1", "6.1.0-56-cloud-amd64"),
        ("6.12", "6.12.107+deb12-cloud-amd64"),
        ("6.2", None),
        (archive.NEWEST, "6.12.107+deb12-cloud-amd64"),
    ],
)
def test_the_newest_release_of_a_series_is_found(series: str, release: str | None) -> None:
    assert archive.newest(ARCHIVE, series) == release


def test_a_kernel_in_several_packages_is_found_whole() -> None:
    depends = """
linux-image-7.3.4+deb13-cloud-amd64
  PreDepends: linux-base
 |Depends: dracut
  Depends: initramfs-tools
  Depends: linux-binary-7.3.4+deb13-cloud-amd64
  Depends: linux-modules-7.3.4+deb13-cloud-amd64
"""
    assert archive.parts_named(depends, "7.3.4+deb13-cloud-amd64") == [
        "linux-binary-7.3.4+deb13-cloud-amd64",
        "linux-modules-7.3.4+deb13-cloud-amd64",
    ]


def test_modules_come_after_those_they_depend_on() -> None:
    dependencies = """
kernel/fs/fuse/virtiofs.ko: kernel/fs/fuse/fuse.ko kernel/drivers/virtio/virtio_ring.ko
kernel/fs/fuse/fuse.ko:
kernel/drivers/virtio/virtio_ring.ko:
kernel/drivers/virtio/virtio_pci.ko.xz: kernel/drivers/virtio/virtio_ring.ko
kernel/sound/soundcore.ko:
"""
    names = [path.name for path in initramfs.needed(Path("/m"), dependencies)]
    assert names == ["virtio_ring.ko", "virtio_pci.ko.xz", "fuse.ko", "virtiofs.ko"]


def test_the_record_tells_of_every_kind_of_hook_on_every_kernel() -> None:
    assert {"6.1", "6.12"} <= set(RECORD["hooks"])
    for row in RECORD["hooks"].values():
        assert set(row) == set(hook_kinds.names())
        assert "failed" not in row.values()


def _guests(*of: Results) -> Any:
    """Replace booting: each boot gives the next results."""
    kernel = Kernel("6.1", "6.1.0", Path("folder"))
    boots = iter([runner.Guest(kernel, results, 1.0, []) for results in of])
    return lambda *_: next(boots)


def _matrix(monkeypatch: pytest.MonkeyPatch, *of: Results) -> int:
    monkeypatch.setattr(archive, "fetch", lambda name: name)
    monkeypatch.setattr(runner, "run_kernel", _guests(*of))
    return runner.run_matrix(["6.1"], ["a"], record=False, reboot=True)


def _died(*reports: Any) -> Results:
    results = told(*reports)
    results.ended_early = "the guest panicked"
    return results


def test_a_guest_that_died_is_booted_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _matrix(monkeypatch, _died(*WHOLE[:3]), told(*WHOLE)) == 0


def test_a_guest_that_died_twice_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _matrix(monkeypatch, _died(*WHOLE[:3]), _died(*WHOLE[:3])) == 1


def test_a_guest_in_which_a_test_failed_is_not_booted_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = {"event": "result", "test": "b", "state": "failed"}
    assert _matrix(monkeypatch, _died(*WHOLE[:4], failed)) == 1


def probe_test(name: str, state: str, **run: Any) -> dict[str, Any]:
    runs = [{"hooks": ["tp_btf:x"], "ns_per_run": 100.0, **run}]
    return {"event": "result", "test": name, "state": state, "properties": {"runs": runs}}


def test_a_probe_is_recorded_by_its_fullest_run_where_all_its_checks_passed() -> None:
    results = told(
        probe_test("a", "passed", probe="runqlat", rows=3),
        probe_test("b", "passed", probe="runqlat", rows=17),
        probe_test("c", "passed", probe="profile", rows=5),
        probe_test("d", "failed", probe="profile", rows=1),
    )
    assert probe_rows(results) == {
        "runqlat": {"hooks": ["tp_btf:x"], "rows": 17, "ns_per_run": 100.0}
    }


def test_what_is_noted_of_a_probe_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "docs" / "probes.json"
    probe_record.note("6.12", "6.12.1", {"runqlat": {"rows": 3}}, path)
    probe_record.note("6.1", "6.1.0", {"runqlat": {"rows": 5}}, path)
    probe_record.note("6.12", "6.12.2", {"profile": {"rows": 1}, "runqlat": {"hooks": []}}, path)

    kernels = probe_record.read(path)["kernels"]
    assert list(kernels) == ["6.1", "6.12"]
    assert kernels["6.12"] == {
        "release": "6.12.2",
        "probes": {"profile": {"rows": 1}, "runqlat": {"rows": 3, "hooks": []}},
    }
