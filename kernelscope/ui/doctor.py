"""`doctor`: checks what works on this machine, and how to fix the rest.

The agent tries what needs privilege (agent/server/doctor.py). Where no agent can be started, the
same attempts are made with the user's own rights, so that the answer is never a guess.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kernelscope.errors import AgentError, RequirementError
from kernelscope.protocol import hook_kinds
from kernelscope.protocol.probe_folder import PACKAGE
from kernelscope.text import printable
from kernelscope.ui import remedies

if TYPE_CHECKING:
    import pandas as pd

_PACKAGES = ("IPython", "ipywidgets", "matplotlib", "numpy", "pandas", "pyarrow", "traitlets")
_PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3", "/bin/python3")
# The agent's modules without `kernelscope/__init__.py`, as agent/__main__.py enters them.
_CHECK = """
import json, sys, types
package = types.ModuleType("kernelscope")
package.__path__ = [sys.argv[1]]
sys.modules["kernelscope"] = package
from kernelscope.agent.server import doctor
print(json.dumps(doctor.findings(None)))
"""
_REQUIRED = ("map", "program", "ring buffer")
_REFUSALS = ("operation not permitted", "permission denied")


@dataclass(frozen=True)
class Finding:
    """One check.

    state: "ok"; "missing" (nothing runs without it); "limited" (some probes run without it).
    fix: the command that fixes it, by family of distributions, this machine's first; empty if ok.
    """

    check: str
    state: str
    detail: str
    fix: Mapping[str, str]


def _finding(
    check: str, works: bool, detail: str, remedy: str = "", state: str = "missing"
) -> Finding:
    if works:
        return Finding(check, "ok", detail, {})
    return Finding(check, state, detail, remedies.commands(remedy) if remedy else {})


def examine() -> list[Finding]:
    """Run all checks: the client's Python first, then what the agent needs, then each hook."""
    found = [*_client_findings()]
    if sys.platform != "linux":
        detail = f"this is {platform.system()}; BPF is part of the Linux kernel"
        return [*found, _finding("kernel", False, detail, "linux")]
    facts, refused = _agent_facts()
    found.append(_agent_finding(facts, refused))
    found += _kernel_findings(facts)
    found += _hook_findings(facts, privileged=refused is None)
    return found


def refusal(*also: str) -> RequirementError | None:
    """Return why this machine cannot trace, and how to fix it; None where it can.

    also: names of further checks that must be "ok".
    """
    missing = [
        finding
        for finding in examine()
        if finding.state == "missing" or (finding.state != "ok" and finding.check in also)
    ]
    if not missing:
        return None
    first = missing[0]
    hint = next(iter(first.fix.values()), None)
    return RequirementError(f"{first.check}: {first.detail}", hint=hint, requirement=first.check)


def doctor() -> pd.DataFrame:
    """Return what works on this machine, one row per check.

    Columns: check, state ("ok", "missing", "limited"), detail, fix (the command for this machine's
    distribution, "" if there is nothing to fix).
    """
    import pandas as pd  # takes half a second, which the command line need not wait for

    rows = [
        {
            "check": finding.check,
            "state": finding.state,
            "detail": finding.detail,
            "fix": next(iter(finding.fix.values()), ""),
        }
        for finding in examine()
    ]
    return pd.DataFrame(rows, columns=["check", "state", "detail", "fix"], dtype="str")


class Checkup:
    """All findings, as a table for a terminal or a notebook, or as JSON."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)

    @property
    def missing(self) -> bool:
        """Whether nothing can be traced until something is fixed."""
        return any(finding.state == "missing" for finding in self.findings)

    def to_json(self) -> str:
        """Return a JSON list of objects: check, state, detail, fix (by family)."""
        return json.dumps([asdict(finding) for finding in self.findings], indent=2)

    def __repr__(self) -> str:
        width = max(len(finding.check) for finding in self.findings)
        lines = [f"KernelScope on {printable(platform.node())}: {_machine()}", ""]
        shown: list[Mapping[str, str]] = []
        for finding in self.findings:
            line = f"  {finding.state:<8} {finding.check:<{width}}  {printable(finding.detail)}"
            lines.append(line.rstrip())
            if finding.fix and finding.fix not in shown:
                lines.append(f"{'':{13 + width}}{_fix_line(finding.fix)}")
                shown.append(finding.fix)
        return "\n".join([*lines, "", self._verdict()])

    def _verdict(self) -> str:
        if self.missing:
            return "This machine cannot trace yet: fix what is missing. Recordings open anywhere."
        limited = [finding.state for finding in self.findings].count("limited")
        if limited:
            checks = "1 check" if limited == 1 else f"{limited} checks"
            return (
                f"This machine can trace, but {checks} above found a limit; `kernelscope list` "
                "shows which probes still run."
            )
        return "This machine can trace everything that KernelScope offers."


def _fix_line(fix: Mapping[str, str]) -> str:
    """Return the fix for this machine's family, which comes first; `--json` has them all."""
    family, command = next(iter(fix.items()))
    return f"{remedies.FAMILIES.get(family, 'Fix')}: {command}"


def _machine() -> str:
    try:
        distribution = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        distribution = ""
    parts = (f"{platform.system()} {platform.release()}", platform.machine(), distribution)
    return ", ".join(part for part in parts if part)


def _client_findings() -> Iterator[Finding]:
    new_enough = sys.version_info >= (3, 11)
    yield _finding("Python", new_enough, f"{platform.python_version()} {sys.executable}", "python")
    absent = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    detail = f"not installed: {', '.join(absent)}" if absent else f"{', '.join(_PACKAGES)}"
    yield _finding("Python packages", not absent, detail, "packages")


def _agent_facts() -> tuple[dict[str, Any], AgentError | None]:
    """Return the facts found with the privilege available, and why there was no more."""
    from kernelscope.tracing.agent_client import Agent

    try:
        with Agent.start() as agent:
            return agent.doctor(), None
    except AgentError as error:
        return _unprivileged_facts(), error


def _unprivileged_facts() -> dict[str, Any]:
    """Try the same things as this user, in a process of the distribution's Python."""
    python = next((path for path in _PYTHONS if os.access(path, os.X_OK)), sys.executable)
    command = [python, "-I", "-c", _CHECK, str(PACKAGE)]
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
        return Finding(finding.check, finding.state, detail, {"any": refused.hint, **finding.fix})
    return finding


def _kernel_findings(facts: Mapping[str, Any]) -> Iterator[Finding]:
    if not facts:
        return
    bcc = facts["bcc"]
    yield _finding("bcc", bcc is not None, f"version {bcc}" if bcc else facts["bcc_error"], "bcc")
    for name, reason in facts["tried"].items():
        state = "missing" if name in _REQUIRED else "limited"
        remedy = "capabilities" if reason in _REFUSALS else "newer kernel"
        yield _finding(f"BPF {name}", reason is None, reason or "works", remedy, state)
    size = facts["btf_bytes"]
    btf = f"/sys/kernel/btf/vmlinux, {size / 1e6:.1f} MB" if size else "no /sys/kernel/btf/vmlinux"
    yield _finding("BTF", size is not None, btf, "btf")
    tracefs = facts["tracefs"]
    where = tracefs or "not mounted, and the agent could not mount it either"
    yield _finding("tracefs", tracefs is not None, where, "tracefs", "limited")
    lockdown = facts["settings"].get("lockdown") or ""
    strict = "[confidentiality]" in lockdown
    yield _finding("lockdown", not strict, lockdown or "not built in", "lockdown")
    setting = facts["settings"].get("unprivileged_bpf_disabled")
    if setting is not None:
        who = (
            "other users may load some programs, none that trace" if setting == "0" else "root only"
        )
        detail = f"kernel.unprivileged_bpf_disabled = {setting}: {who}"
        yield _finding("unprivileged BPF", True, detail)


def _hook_findings(facts: Mapping[str, Any], *, privileged: bool) -> Iterator[Finding]:
    if not privileged and set(facts.get("hooks", {}).values()) <= set(_REFUSALS):
        yield Finding("hooks", "limited", "not tried: they need privilege, see above", {})
        return
    for name, reason in facts.get("hooks", {}).items():
        if reason is None:
            yield Finding(f"hook {name}", "ok", "attached and detached", {})
            continue
        capabilities = remedies.commands("capabilities")
        fix = {"any": hook_kinds.KINDS[name].fix} if privileged else capabilities
        yield Finding(f"hook {name}", "limited", reason, fix)
