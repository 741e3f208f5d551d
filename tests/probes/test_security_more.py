"""The probes of bpf/security about tracing, listening, loading, starting and connecting."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from probes.checking import one, traced

from workloads.probes import command, started

pytestmark = pytest.mark.kernel


def test_ptracesnoop_shows_who_attaches_and_reads_memory() -> None:
    with started("processes_traced") as load:
        traces, facts = traced("ptracesnoop", load, comm="ks-tracer")

    assert set(traces["pid"]) == {load.pid}
    assert set(traces["target_pid"]) == {facts["child"]}
    attached = traces[traces["request"] == "ATTACH"]
    assert attached["error"].tolist() == [""] * 23 + ["ESRCH"] * 5
    assert (traces["request"] == "DETACH").sum() == 23
    memory = traces[traces["syscall"] == "process_vm_readv"]
    assert len(memory) == 7
    assert set(memory["request"]) == {""}


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_ptracesnoop_shows_only_attaches_on_request(tmp_path: Path) -> None:
    report = tmp_path / "strace"
    strace = ["strace", "-e", "trace=ptrace", "-o", str(report)]
    subprocess.run([*strace, *command("processes_traced")], input=b"go\n", check=True, stdout=-3)
    counted = report.read_text().count("PTRACE_ATTACH")

    with started("processes_traced") as load:
        traces, _ = traced("ptracesnoop", load, requests="attach", pid=load.pid)
    assert traces["request"].tolist() == ["ATTACH"] * counted

    with started("processes_traced") as load:
        traces, _ = traced("ptracesnoop", load, failed=True, pid=load.pid)
    assert traces["error"].tolist() == ["ESRCH"] * 5


def test_listensnoop_shows_the_address_and_port_of_each_socket() -> None:
    with started("ports_opened") as load:
        listens, facts = traced("listensnoop", load, pid=load.pid)

    begun = listens[(listens["error"] == "") & (listens["port"] != facts["taken"])]
    found = begun[["address", "port", "backlog"]].to_dict("records")
    assert found == facts["listening"]
    limit = int(Path("/proc/sys/net/core/somaxconn").read_text())
    assert begun["queue"].tolist() == [min(number, limit) for number in begun["backlog"]]
    assert one(listens, error="EADDRINUSE")["port"] == facts["taken"]


def test_listensnoop_follows_one_port_on_request() -> None:
    with started("ports_opened") as load:
        listens, facts = traced("listensnoop", load, port=1)

    assert len(facts["listening"]) == 19
    assert load.pid not in set(listens["pid"])


def test_bpfsnoop_shows_programs_and_maps_with_their_descriptors() -> None:
    with started("bpf_used") as load:
        uses, facts = traced("bpfsnoop", load, comm="ks-bpf")

    maps = uses[uses["command"] == "MAP_CREATE"]
    assert maps["result"].tolist() == facts["maps"]
    assert len(maps) == 29
    assert set(maps["map_type"]) == {"ARRAY"}
    assert set(maps["prog_type"]) == {""}
    assert set(maps["name"]) == {"ks_map"}
    programs = uses[uses["command"] == "PROG_LOAD"]
    assert programs["result"].tolist() == [*facts["programs"], *facts["refused"]]
    assert programs["error"].tolist() == [""] * 3 + ["EACCES"] * 5
    assert set(programs["prog_type"]) == {"SOCKET_FILTER"}
    assert set(programs["name"]) == {"ks_program"}
    assert len(uses) == 29 + 3 + 5


def test_bpfsnoop_shows_all_commands_or_only_failures_on_request() -> None:
    with started("bpf_used") as load:
        uses, _ = traced("bpfsnoop", load, pid=load.pid, commands="all")
    assert (uses["command"] == "MAP_UPDATE_ELEM").sum() == 7

    with started("bpf_used") as load:
        uses, _ = traced("bpfsnoop", load, pid=load.pid, failed=True)
    assert uses["command"].tolist() == ["PROG_LOAD"] * 5


def test_modulesnoop_shows_attempts_with_the_errors_they_got() -> None:
    with started("modules_refused") as load:
        events, facts = traced("modulesnoop", load, comm="ks-modules")

    tried = events[events["event"] != "request"]
    assert tried["error"].tolist() == facts["errors"]
    assert tried["event"].tolist() == ["load"] * 14 + ["remove"] * 5
    names = ["memfd:ks-nothing"] * 11 + [""] * 3 + ["ks_not_there"] * 5
    assert tried["name"].tolist() == names
    if Path("/proc/modules").exists():
        asked = events[events["event"] == "request"]
        assert asked["name"][asked["name"].isin(facts["asked"])].tolist() == facts["asked"]


def test_execsuspect_shows_programs_by_location() -> None:
    with started("programs_from_odd_places") as load:
        execs, facts = traced("execsuspect", load)

    execs = execs[execs["ppid"] == load.pid].set_index("pid")
    for place in ("/tmp", "/dev/shm", "/var/tmp", "deleted", "memory"):
        assert execs.loc[facts[place], "reason"].tolist() == [place] * len(facts[place])
    assert set(execs.loc[facts["/tmp"], "file"]) == {"ks-odd"}
    assert "./ks-odd" in set(execs.loc[facts["/dev/shm"], "path"])
    script = execs.loc[facts["script"][0]]
    assert (script["reason"], script["comm"]) == ("/tmp", "ks-script")
    assert not set(facts["/bin"]) & set(execs.index)
    assert len(execs) == 13 + 3 + 2 + 5 + 1 + 1


def test_execsuspect_takes_folders_from_the_root_that_the_program_sees() -> None:
    with started("programs_in_another_root") as load:
        execs, facts = traced("execsuspect", load)

    execs = execs[execs["ppid"] == load.pid]
    assert all(pid > 0 for pid in facts["/bin"])
    assert execs["pid"].tolist() == facts["/tmp"]
    assert execs["reason"].tolist() == ["/tmp"] * 11


def test_connwatch_shows_connections_to_unexpected_ports() -> None:
    with started("connections_tried") as load:
        attempts, facts = traced("connwatch", load, pid=load.pid, loopback=True)

    unexpected, other = facts["ports"]
    tried = attempts[(attempts["port"] == unexpected) & ~attempts["public"]]
    assert tried["address"].tolist() == (["127.0.0.1", "::1", "127.0.0.1"] * 6)[:17]
    assert (attempts["port"] == other).sum() == 5
    assert attempts["public"].sum() == facts["outside"]


def test_connwatch_leaves_out_ports_that_are_allowed_and_the_machine_itself() -> None:
    everything = ",".join(str(port) for port in range(100, 117)) + ",1-99,200-65535"
    with started("connections_tried") as load:
        attempts, _ = traced("connwatch", load, pid=load.pid, loopback=True, allow=everything)
    assert len(attempts) == 0

    with started("connections_tried") as load:
        attempts, facts = traced("connwatch", load, pid=load.pid)
    assert len(attempts) == facts["outside"]
