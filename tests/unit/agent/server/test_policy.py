"""The administrator's policy binds, and an unsafe policy file stops the agent."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unit.builders import requests

from kernelscope.agent.server import builtin_policy, policy
from kernelscope.agent.server.policy import Policy
from kernelscope.errors import AgentRefusedError
from kernelscope.probe import catalogue
from kernelscope.protocol import hook_kinds
from kernelscope.protocol.program import Hook, Program

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a policy file must belong to root")


def _write(path: Path, text: str, mode: int = 0o644) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_any_program_may_run_without_a_file(tmp_path: Path) -> None:
    assert policy.load(tmp_path / "absent.json") == Policy()


@needs_root
def test_file_sets_the_limits(tmp_path: Path) -> None:
    path = _write(tmp_path / "agent.json", '{"source": "builtin", "max_runs": 2}')
    assert policy.load(path) == Policy(source="builtin", max_runs=2, per_user=True)


@needs_root
@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"source": "all"}',
        '{"max_runs": 0}',
        '{"max_runs": "9"}',
        '{"sauce": "any"}',
        '{"per_user": false}',
        '{"max_memory_mb": -1}',
        '{"probes": "sslsniff"}',
        '{"probes": [7]}',
    ],
)
def test_file_with_other_values_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(AgentRefusedError, match="policy"):
        policy.load(_write(tmp_path / "agent.json", text))


@needs_root
def test_file_writable_by_others_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AgentRefusedError, match="only root can write"):
        policy.load(_write(tmp_path / "agent.json", "{}", mode=0o666))


def test_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(_write(tmp_path / "agent.json", "{}"))
    with pytest.raises(AgentRefusedError):
        policy.load(tmp_path / "link.json")


BUILTIN = Policy(source="builtin")


def installed(name: str, **options: Any) -> Program:
    return requests.of_probe(catalogue.find(name), options).program


@pytest.mark.parametrize("name", catalogue.names())
def test_builtin_allows_every_installed_probe_at_its_own_hooks(name: str) -> None:
    chosen = catalogue.find(name).needed()
    if name == "xdpcount":
        with pytest.raises(AgentRefusedError, match="only XDP slot"):
            BUILTIN.allowed(installed(name))
        assert Policy(source="builtin", probes=("xdpcount",)).allowed(installed(name))
        return
    if not chosen:
        BUILTIN.allowed(installed(name))
        return
    with pytest.raises(AgentRefusedError, match="a hook that the user chose"):
        BUILTIN.allowed(installed(name, **chosen))


def test_builtin_allows_a_probes_own_options() -> None:
    BUILTIN.allowed(installed("profile", hz=99, duration=3, ring=1 << 20))


PROBE = installed("opensnoop")
SAMPLER = installed("profile")


def hooked(program: Program, *specs: str, function: str = "") -> Program:
    hook = program.hooks[0]
    return replace(
        program, hooks=(replace(hook, any_of=specs, function=function or hook.function),)
    )


@pytest.mark.parametrize(
    "program",
    [
        replace(PROBE, source="int x;"),
        replace(PROBE, source=PROBE.source + " "),
        replace(PROBE, prelude=""),
        replace(PROBE, prelude=PROBE.prelude + "#define bpf_probe_read_user bpf_probe_read"),
        replace(PROBE, defines={"PATH_BYTES": "256"}),
        hooked(PROBE, "tracepoint:syscalls:sys_enter_write"),
        hooked(PROBE, *PROBE.hooks[0].any_of, "kprobe:vfs_write"),
        hooked(PROBE, *PROBE.hooks[0].any_of, function="another"),
        hooked(SAMPLER, "profile:hz:49:1"),
        hooked(SAMPLER, "profile:hz:x"),
        hooked(SAMPLER, "profile:hz:1000000"),
        hooked(SAMPLER, "profile:ms:49"),
    ],
    ids=[
        "a user's C",
        "a changed text",
        "no macros",
        "other macros",
        "a macro",
        "another hook",
        "one more hook",
        "another function",
        "more than a number in a hook",
        "a word in a hook",
        "a number out of its range in a hook",
        "another unit in a hook",
    ],
)
def test_builtin_refuses(program: Program) -> None:
    with pytest.raises(AgentRefusedError, match="installed probes only"):
        BUILTIN.allowed(program)


@pytest.fixture
def probe_with_a_macro(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "kernelscope.h").write_text("")
    (tmp_path / "area").mkdir()
    (tmp_path / "area" / "sized.c").write_text("int x[SIZE];")
    (tmp_path / "area" / "sized.toml").write_text(
        '[[parameter]]\nname = "size"\npassed = "define"\n[[parameter]]\nname = "other"\n'
    )
    monkeypatch.setattr(builtin_policy, "probe_folder", lambda: tmp_path)
    return Program("sized", "int x[SIZE];")


@pytest.mark.parametrize("value", ["3", "-4.5", '"a text"'])
def test_builtin_allows_numbers_and_texts_for_declared_macros(
    probe_with_a_macro: Program, value: str
) -> None:
    BUILTIN.allowed(replace(probe_with_a_macro, defines={"SIZE": value}))


@pytest.mark.parametrize(
    "defines",
    [{"SIZE": "f()"}, {"SIZE": '"a" f() "b"'}, {"SIZE": "1 f"}, {"OTHER": "1"}, {"x": "1"}],
)
def test_builtin_refuses_macros_that_are_code_or_undeclared(
    probe_with_a_macro: Program, defines: dict[str, str]
) -> None:
    with pytest.raises(AgentRefusedError, match="the macro"):
        BUILTIN.allowed(replace(probe_with_a_macro, defines=defines))


def test_builtin_allows_only_the_default_library() -> None:
    BUILTIN.allowed(installed("mallocdist"))
    with pytest.raises(AgentRefusedError, match=r"is not for 'uprobe:/home/x/lib.so:malloc'"):
        BUILTIN.allowed(installed("mallocdist", library="/home/x/lib.so"))


WATCHER = """
[[parameter]]
name = "interface"
kind = "text"
default = "lo"
[[hook]]
function = "on_packet"
any_of = ["xdp:{interface}"]
"""


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [("xdp:eth0", True), ("xdp:br-lan.7", True), ("xdp:a/b", False), ("xdp:eth0:1", False)],
)
def test_builtin_allows_any_interface_for_packet_hooks(
    spec: str, allowed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "kernelscope.h").write_text("")
    (tmp_path / "network").mkdir()
    (tmp_path / "network" / "watcher.c").write_text("int x;")
    (tmp_path / "network" / "watcher.toml").write_text(WATCHER)
    monkeypatch.setattr(builtin_policy, "probe_folder", lambda: tmp_path)
    program = Program("watcher", "int x;", hooks=(Hook("on_packet", (spec,)),))
    trusting = Policy(source="builtin", probes=("watcher",))

    if allowed:
        trusting.allowed(program)
    else:
        with pytest.raises(AgentRefusedError, match="is not for"):
            trusting.allowed(program)


@pytest.mark.parametrize(
    "spec",
    [
        "uprobe:/root/secret:f",
        "u:/root/x:f",
        "usdt:/x:y",
        "uprobe::",
        "fentry:vfs_nothing",
        "xdp:eth0:1",
        "profile:hz:1000000",
    ],
)
def test_builtin_checks_no_other_hooks(spec: str) -> None:
    assert "installed probes" in (BUILTIN.check_refusal(spec) or "")
    assert Policy().check_refusal(spec) is None


@pytest.mark.parametrize("spec", ["tracepoint:sched:sched_switch", "tp_btf:sched_switch"])
def test_builtin_checks_hooks_of_installed_probes(spec: str) -> None:
    assert BUILTIN.check_refusal(spec) is None


def test_builtin_tries_only_hooks_of_installed_probes() -> None:
    tried = [kind.tried for kind in hook_kinds.KINDS.values() if kind.tried]
    refused = {spec for spec in tried if BUILTIN.try_refusal(spec)}
    assert {"xdp:lo", "fexit:vfs_read", "uprobe:c:getpid"} <= refused
    assert "tracepoint:sched:sched_switch" not in refused
    assert not any(Policy().try_refusal(spec) for spec in tried)


def test_builtin_lists_no_names_of_programs() -> None:
    assert [kind for kind in hook_kinds.names() if BUILTIN.list_refusal(kind)] == [
        "uprobe",
        "uretprobe",
        "usdt",
    ]
    assert BUILTIN.list_refusal("u")
    assert Policy().list_refusal("uprobe") is None


def test_builtin_refuses_a_parameter_that_reads_contents() -> None:
    BUILTIN.allowed(installed("sslsniff"))
    reading = installed("sslsniff", content=240)
    with pytest.raises(AgentRefusedError, match="sslsniff with content: it reads the contents"):
        BUILTIN.allowed(reading)
    assert Policy(source="builtin", probes=("sslsniff",)).allowed(reading)


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"stacks": 3}, "stacks is 3, which is outside its range"),
        ({"stacks": -1}, "outside its range"),
        ({"secret": 1}, "no parameter 'secret'"),
        ({"hook_context": 2}, "no parameter 'hook_context'"),
    ],
)
def test_builtin_checks_each_number(params: dict[str, int], why: str) -> None:
    with pytest.raises(AgentRefusedError, match=why):
        BUILTIN.allowed(replace(SAMPLER, params={**SAMPLER.params, **params}))


@pytest.mark.parametrize("options", [{"pid": 1}, {"comm": "sh"}, {"uid": 0}])
@pytest.mark.parametrize("name", ["opensnoop", "offcputime", "sysslow"])
def test_builtin_allows_filters(name: str, options: dict[str, Any]) -> None:
    BUILTIN.allowed(installed(name, **options))


def test_builtin_reads_only_the_maps_that_the_probe_shows() -> None:
    every = replace(installed("biosnoop"), tables=())
    shown = BUILTIN.allowed(every).tables
    assert shown
    assert set(shown) == {table.map for table in catalogue.find("biosnoop").tables}
    with pytest.raises(AgentRefusedError, match="the map 'started' is not shown"):
        BUILTIN.allowed(replace(every, tables=(*shown, "started")))


@needs_root
def test_builtin_needs_code_that_only_root_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(tmp_path / "agent.json", '{"source": "builtin"}')
    code = tmp_path / "code"
    code.mkdir()
    monkeypatch.setattr(policy, "PACKAGE", code)
    assert policy.load(path).restricted
    code.chmod(0o777)
    with pytest.raises(AgentRefusedError, match=f"others than root can write {code}"):
        policy.load(path)
    code.chmod(0o755)
    os.chown(code, 1234, 0)
    with pytest.raises(AgentRefusedError, match=f"others than root can write {code}"):
        policy.load(path)


def test_run_longer_than_allowed_is_refused() -> None:
    with pytest.raises(AgentRefusedError, match="duration"):
        Policy(max_duration_s=1).allowed(Program("cell", "", duration_ns=2 * 10**9))


def test_policy_example_is_json(tmp_path: Path) -> None:
    example = (policy.__doc__ or "").split("    ", 1)[1].split("}")[0] + "}"
    assert set(json.loads(example)) == set(policy.KEYS)
