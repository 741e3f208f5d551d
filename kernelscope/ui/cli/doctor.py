"""`kernelscope doctor`: what works on this machine, tried, and what would mend the rest.

The agent tries what needs privilege (agent/server/doctor.py). Where no agent can be started,
the same attempts are made with the user's own rights, so that the answer is still not a guess.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kernelscope.errors import AgentError, ParameterError, RequirementError
from kernelscope.protocol import hook_kinds
from kernelscope.protocol.probe_folder import PACKAGE
from kernelscope.ui.cli import remedies

if TYPE_CHECKING:
    import pandas as pd

_PACKAGES = ("IPython", "ipywidgets", "matplotlib", "numpy", "pandas", "pyarrow", "traitlets")
_PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3", "/bin/python3")
# The agent's modules without `kernelscope/__init__.py`, as agent/__main__.py enters them.
_EXAMINE = """
import json, sys, types
package = types.ModuleType("kernelscope")
package.__path__ = [sys.argv[1]]
sys.modules["kernelscope"] = package
from kernelscope.agent.server import doctor
print(json.dumps(doctor.findings(None)))
"""
_NEEDED_TRIED = ("map", "program", "ring buffer")
_REFUSALS = ("operation not permitted", "permission denied")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    state: "ok"; "missing" (nothing runs without it); "limited" (some probes do without it).
    mend: what to type, by family of distributions, this machine's first; empty where it is ok.
    """

    check: str
    state: str
    detail: str
    mend: Mapping[str, str]


def _finding(
    check: str, works: bool, detail: str, remedy: str = "", state: str = "missing"
) -> Finding:
    if works:
        return Finding(check, "ok", detail, {})
    return Finding(check, state, detail, remedies.commands(remedy) if remedy else {})


def examine() -> list[Finding]:
    """Try everything; the notebook's side first, then what the agent needs and each hook."""
    found = [*_notebook_side()]
    if sys.platform != "linux":
        detail = f"this is {platform.system()}; BPF is a part of the Linux kernel"
        return [*found, _finding("kernel", False, detail, "linux")]
    facts, refused = _agent_facts()
    found.append(_agent_finding(facts, refused))
    found += _kernel_side(facts)
    found += _hook_findings(facts, privileged=refused is None)
    return found


def refusal(*also: str) -> RequirementError | None:
    """Say why this machine cannot trace, with what would mend it; None where it can.

    also: checks of things that are needed here, though much can be traced without them.
    """
    missing = [
        finding
        for finding in examine()
        if finding.state == "missing" or (finding.state != "ok" and finding.check in also)
    ]
    if not missing:
        return None
    first = missing[0]
    hint = next(iter(first.mend.values()), None)
    return RequirementError(f"{first.check}: {first.detail}", hint=hint, requirement=first.check)


def doctor() -> pd.DataFrame:
    """Return what works here, one row a check.

    Columns: check, state ("ok", "missing", "limited"), detail, mend (the command for this
    machine's distribution, "" where nothing is to be mended).
    """
    import pandas as pd  # half a second that a terminal need not wait for

    rows = [
        {
            "check": finding.check,
            "state": finding.state,
            "detail": finding.detail,
            "mend": next(iter(finding.mend.values()), ""),
        }
        for finding in examine()
    ]
    return pd.DataFrame(rows, columns=["check", "state", "detail", "mend"], dtype="str")


def main(arguments: Sequence[str]) -> int:
    """Serve `kernelscope doctor [--json]`; the exit code is 1 where something is missing."""
    unknown = [argument for argument in arguments if argument != "--json"]
    if unknown:
        raise ParameterError(
            f"unexpected {unknown[0]!r}", hint="kernelscope doctor [--json]", name=unknown[0]
        )
    findings = examine()
    print(to_json(findings) if arguments else to_text(findings))
    return int(any(finding.state == "missing" for finding in findings))


def to_json(findings: Iterable[Finding]) -> str:
    """Return the findings as a JSON list of objects: check, state, detail, mend (by family)."""
    return json.dumps([asdict(finding) for finding in findings], indent=2)


def to_text(findings: Iterable[Finding]) -> str:
    """Return the findings as a table for a terminal; a gap is followed by what mends it."""
    findings = list(findings)
    width = max(len(finding.check) for finding in findings)
    lines = [f"KernelScope on {platform.node()}: {_machine()}", ""]
    shown: list[Mapping[str, str]] = []
    for finding in findings:
        lines.append(f"  {finding.state:<8} {finding.check:<{width}}  {finding.detail}".rstrip())
        if finding.mend and finding.mend not in shown:
            lines += _mend_lines(finding.mend, 13 + width)
            shown.append(finding.mend)
    return "\n".join([*lines, "", _verdict(findings)])


def _mend_lines(mend: Mapping[str, str], indent: int) -> Iterator[str]:
    for command in dict.fromkeys(mend.values()):
        families = [name for name, same in mend.items() if same == command]
        who = ", ".join(remedies.FAMILIES.get(name, "to mend it") for name in families)
        yield f"{'':{indent}}{who}: {command}"


def _verdict(findings: Iterable[Finding]) -> str:
    states = [finding.state for finding in findings]
    if "missing" in states:
        return "This machine cannot trace yet: see what is missing above. Recordings open anywhere."
    limited = states.count("limited")
    if limited:
        what = "thing" if limited == 1 else "things"
        return (
            f"This machine can trace. {limited} {what} above are limited; `kernelscope list` says "
            "which probes that leaves."
        )
    return "This machine can trace everything that KernelScope has."


def _machine() -> str:
    try:
        distribution = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        distribution = ""
    parts = (f"{platform.system()} {platform.release()}", platform.machine(), distribution)
    return ", ".join(part for part in parts if part)


def _notebook_side() -> Iterator[Finding]:
    new_enough = sys.version_info >= (3, 11)
    yield _finding("Python", new_enough, f"{platform.python_version()} {sys.executable}", "python")
    absent = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    detail = f"not installed: {', '.join(absent)}" if absent else f"{', '.join(_PACKAGES)}"
    yield _finding("Python packages", not absent, detail, "packages")


def _agent_facts() -> tuple[dict[str, Any], AgentError | None]:
    """Return what was found out with as much privilege as can be had, and why not with more."""
    from kernelscope.tracing.agent_client import Agent

    try:
        with Agent.start() as agent:
            return agent.doctor(), None
    except AgentError as error:
        return _unprivileged_facts(), error


def _unprivileged_facts() -> dict[str, Any]:
    """Try the same things as this user, in a process of the distribution's Python."""
    python = next((path for path in _PYTHONS if os.access(path, os.X_OK)), sys.executable)
    command = [python, "-I", "-c", _EXAMINE, str(PACKAGE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        return {}


def _agent_finding(facts: Mapping[str, Any], refused: AgentError | None) -> Finding:
    if refused is None:
        how = "root" if os.geteuid() == 0 else "sudo -n"
        return _finding("privilege", True, f"the agent runs ({how})")
    container = facts.get("container")
    remedy = "container" if container and os.geteuid() == 0 else "sudo"
    detail = refused.message + (f" (in a container: {container})" if container else "")
    finding = _finding("privilege", False, detail, remedy)
    if refused.hint and remedy == "sudo":
        return Finding(finding.check, finding.state, detail, {"any": refused.hint, **finding.mend})
    return finding


def _kernel_side(facts: Mapping[str, Any]) -> Iterator[Finding]:
    if not facts:
        return
    bcc = facts["bcc"]
    yield _finding("bcc", bcc is not None, f"version {bcc}" if bcc else facts["bcc_error"], "bcc")
    for name, reason in facts["tried"].items():
        state = "missing" if name in _NEEDED_TRIED else "limited"
        remedy = "capabilities" if reason in _REFUSALS else "newer kernel"
        yield _finding(f"BPF {name}", reason is None, reason or "works", remedy, state)
    size = facts["btf_bytes"]
    btf = f"/sys/kernel/btf/vmlinux, {size / 1e6:.1f} MB" if size else "no /sys/kernel/btf/vmlinux"
    yield _finding("BTF", size is not None, btf, "btf")
    tracefs = facts["tracefs"]
    where = tracefs or "not mounted, and the agent could not mount it for itself"
    yield _finding("tracefs", tracefs is not None, where, "tracefs", "limited")
    lockdown = facts["settings"].get("lockdown") or ""
    strict = "[confidentiality]" in lockdown
    yield _finding("lockdown", not strict, lockdown or "not built in", "lockdown")
    setting = facts["settings"].get("unprivileged_bpf_disabled")
    if setting is not None:
        who = "others may load some programs, none that trace" if setting == "0" else "root alone"
        detail = f"kernel.unprivileged_bpf_disabled = {setting}: {who}"
        yield _finding("unprivileged BPF", True, detail)


def _hook_findings(facts: Mapping[str, Any], *, privileged: bool) -> Iterator[Finding]:
    for name, reason in facts.get("hooks", {}).items():
        if reason is None:
            yield Finding(f"hook {name}", "ok", "attached and detached", {})
            continue
        capabilities = remedies.commands("capabilities")
        fix = {"any": hook_kinds.KINDS[name].fix} if privileged else capabilities
        yield Finding(f"hook {name}", "limited", reason, fix)
