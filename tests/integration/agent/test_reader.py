"""The agent's reading side against the real kernel: every record and entry, exactly once."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from integration.support import agent_python

pytestmark = pytest.mark.kernel


def case(function: str, *arguments: Any) -> Any:
    return agent_python.call("reading_cases", function, *arguments)


# --- rings ---------------------------------------------------------------------------------------


def test_equal_records_arrive_in_order_with_their_stride() -> None:
    result = case("ring_numbers", "equal_records", True)
    assert result["numbers"] == list(range(result["sent"]))
    assert result["records"] == result["sent"]
    assert result["strides"] == [48]
    assert result["left"] == 0


@pytest.mark.parametrize("libbpf", [True, False], ids=["walked by libbpf", "walked by Python"])
def test_records_of_mixed_lengths_arrive_in_order(libbpf: bool) -> None:
    result = case("ring_numbers", "mixed_records", libbpf)
    assert result["walker"] == libbpf
    assert result["numbers"] == list(range(result["sent"]))
    assert result["records"] == result["sent"]
    assert result["left"] == 0


@pytest.mark.parametrize("libbpf", [True, False], ids=["walked by libbpf", "walked by Python"])
def test_discarded_records_are_skipped(libbpf: bool) -> None:
    result = case("ring_numbers", "discarded_records", libbpf)
    assert result["numbers"] == list(range(0, result["sent"], 2))
    assert result["records"] == len(result["numbers"])
    assert result["left"] == 0


@pytest.mark.parametrize("program", ["equal_records", "mixed_records", "discarded_records"])
def test_burst_from_another_cpu_is_read_without_torn_or_repeated_records(program: str) -> None:
    result = case("ring_under_flood", program)
    assert result["read"] > 10_000
    assert result["rising"]
    assert result["left"] == 0


# --- maps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("batches", [True, False], ids=["in batches", "key by key"])
@pytest.mark.parametrize(("kind", "entries"), [("hash", 7919), ("lru_hash", 997), ("array", 4099)])
def test_every_entry_is_read_once(kind: str, entries: int, batches: bool) -> None:
    found = case("map_entries", kind, entries, 10_007 if kind != "array" else entries, batches)
    assert found == [[key, 3 * key] for key in range(entries)]


def test_map_larger_than_a_batch_is_read_completely() -> None:
    found = case("map_entries", "hash", 200_003, 300_000, True)
    assert found == [[key, 3 * key] for key in range(200_003)]


@pytest.mark.parametrize("batches", [True, False], ids=["in batches", "key by key"])
def test_empty_hash_has_no_entries(batches: bool) -> None:
    assert case("map_entries", "hash", 0, 1000, batches) == []


@pytest.mark.parametrize("batches", [True, False], ids=["in batches", "key by key"])
def test_unused_slots_of_an_array_are_entries(batches: bool) -> None:
    found = case("map_entries", "array", 2, 5, batches)
    assert found == [[0, 0], [1, 3], [2, 0], [3, 0], [4, 0]]


@pytest.mark.parametrize("batches", [True, False], ids=["in batches", "key by key"])
@pytest.mark.parametrize("kind", ["percpu_hash", "percpu_array", "lru_percpu_hash"])
def test_per_cpu_values_are_padded_and_one_per_possible_cpu(kind: str, batches: bool) -> None:
    result = case("percpu_entries", kind, batches)
    expected = [[key, *(key * 100 + cpu for cpu in range(result["cpus"]))] for key in range(7)]
    assert result["entries"] == expected


def test_per_cpu_counters_are_summed() -> None:
    result = case("percpu_sums")
    assert result["sums"] == [key * result["cpus"] for key in range(64)]


def test_batch_grows_for_a_bucket_larger_than_it() -> None:
    assert case("crowded_bucket") == 3000


@pytest.mark.parametrize("batches", [True, False], ids=["in batches", "key by key"])
def test_keys_that_stay_are_read_once_while_others_change(batches: bool) -> None:
    result = case("map_changed_while_read", batches)
    assert result["readings"] > 1
    assert result["doubled"] == 0
    assert result["steady"] == [5000]


def test_unreadable_map_is_an_error_with_the_reason() -> None:
    assert "Bad file descriptor" in case("no_such_map")


# --- perf buffers --------------------------------------------------------------------------------


def test_perf_records_arrive_in_order_with_cpu_and_time() -> None:
    portions = [1, 2, 499, 503, 3, 509] * 7
    result = case("perf_numbers", portions, 64 << 10)
    assert result["numbers"] == list(range(sum(portions)))
    assert result["cpus"] == [result["own_cpu"]]
    assert result["times_rise"]
    assert (result["lost"], result["lost_in_stream"], result["left"]) == (0, 0, 0)


def test_lost_perf_records_are_counted() -> None:
    result = case("perf_numbers", [5003, 1, 1], 16 << 10)
    read = len(result["numbers"])
    assert 0 < read < 5005
    assert result["lost"] == 5005 - read
    assert result["lost_in_stream"] == result["lost"]


def test_bpf_trace_printk_output_is_read_line_by_line() -> None:
    assert case("printed_lines", 11) == ["ks-test"] * 11


# --- stacks --------------------------------------------------------------------------------------


def test_stack_has_names_of_the_kernel_and_the_process() -> None:
    result = case("own_stack")
    by_pid = {key.split(":")[0]: frames for key, frames in result["frames"].items()}
    assert set(by_pid) == {"0", str(result["pid"])}
    in_kernel = [frame[0] for frame in by_pid["0"]]
    assert "__sys_bpf" in in_kernel
    assert not [name for name in in_kernel if name.endswith("_ks_test")]  # the program itself
    assert by_pid["0"][in_kernel.index("__sys_bpf")][2] == "[kernel]"
    symbol, offset, module = by_pid[str(result["pid"])][0]
    assert symbol == "syscall"
    assert 0 < offset < 100
    assert "libc" in module


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A C++ program that sleeps in a function whose stack is known, frame pointers kept."""
    folder = tmp_path_factory.mktemp("caller")
    source = folder / "caller.cc"
    source.write_text(
        """
        namespace shop { struct Till {
            __attribute__((noinline)) long pause(int n) {
                long r; struct { long s, n; } t = {0, n};
                asm volatile("syscall" : "=a"(r) : "a"(35), "D"(&t), "S"(0)
                             : "rcx", "r11", "memory");
                return r + 1; } }; }
        static __attribute__((noinline)) long serve(shop::Till *t) {
            return t->pause(20000000) + 1; }
        int main() { shop::Till t; for (;;) if (serve(&t) < 0) return 1; }
        """
    )
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    binary = folder / "caller"
    flags = ["-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls", "-fno-ipa-pure-const"]
    subprocess.run(["g++", *flags, "-o", str(binary), str(source)], check=True)
    return binary


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the program is in x86_64 assembly")
@pytest.mark.parametrize("delete", [False, True], ids=["file kept", "file deleted"])
def test_ended_process_still_has_names(caller: Path, tmp_path: Path, delete: bool) -> None:
    binary = tmp_path / "caller"
    binary.write_bytes(caller.read_bytes())
    binary.chmod(0o755)
    result = case("stacks_of_a_process_that_has_ended", str(binary), delete)
    assert result["seen"] >= 5
    stacks = [
        frames for key, frames in result["frames"].items() if key.startswith(f"{result['pid']}:")
    ]
    names = [[frame[0] for frame in frames[:3]] for frames in stacks]
    assert ["shop::Till::pause(int)", "serve(shop::Till*)", "main"] in names
    assert all(frames[0][2] == str(binary) for frames in stacks if "Till" in str(frames))


def test_stacks_in_a_map_are_found_by_field_names() -> None:
    result = case("map_with_stacks")
    assert result["keys"] == result["expected"]
    assert result["wanted"] == [True, False]


def test_perf_map_names_jit_code() -> None:
    symbol, offset, module = case("jit_names", 0)
    assert (symbol, offset) == ("Main::hot", 5)
    assert module.startswith("perf-")


def test_perf_map_is_read_again_after_it_grew() -> None:
    assert case("jit_grows") == ["", "first", "second"]


def test_perf_map_of_another_user_is_ignored() -> None:
    assert case("jit_names", 65534)[0] == ""


# --- statistics ----------------------------------------------------------------------------------


def test_runs_are_counted_only_in_windows() -> None:
    result = case("statistics", 900_000_000, 1000)
    busy, idle = result["programs"]["busy"], result["programs"]["idle"]
    assert result["refused"] == ""
    assert result["windows"] >= 2
    assert 0 < busy["sampled_runs"] < result["total"]
    assert 5 < busy["ns_per_run"] < 50_000
    assert 0 < busy["cpu_share"] <= 1.05
    assert idle == {
        "sampled_runs": 0,
        "ns_per_run": None,
        "cpu_share": 0.0,
        "recursion_misses": 0,
    }
    assert result["misses"] == 0


def test_short_run_has_two_windows() -> None:
    result = case("statistics", 30_000_000, 100)
    assert result["windows"] == 2
    assert result["programs"]["busy"]["sampled_runs"] > 0
