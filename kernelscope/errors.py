"""Every error KernelScope raises. Each states what failed, where, and what to do next.

KernelScopeError
├── ProbeError
│   ├── ProbeNotFoundError      no probe of that name (close matches)
│   ├── ProbeSpecError          a probe's .toml or .c is wrong (file, key)
│   └── ParameterError          an option or parameter is wrong
├── RunError
│   ├── CompileError            clang rejected the C (line, column, caret)
│   ├── VerifierError           the kernel's verifier rejected the program (log, line, hint)
│   ├── AttachError             a hook does not exist or cannot be attached (close matches)
│   └── TargetError             the process or file to trace does not exist
├── RequirementError            the machine lacks something: what, and the command that fixes it
├── AgentError
│   ├── AgentUnavailableError   the agent cannot be started
│   ├── AgentRefusedError       the policy or the checks of the agent do not allow it
│   └── AgentDiedError          the agent, or the process of a run, died
├── AnalysisError               a table cannot be analysed or drawn as asked
├── RecordingError              a file is not a recording, or is damaged from some point on
└── ExportError                 a result could not be written

LostEventsWarning               how many events were lost, out of how many, and what would help
ProgramWarning                  a part of a program may not do what it seems to

Errors cross the process boundary as JSON: `to_json` in the agent, `from_json` in the client.
Standard library only: both processes import this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class KernelScopeError(Exception):
    """The base of all errors of KernelScope.

    message: what failed and where, in one line if possible.
    hint: what to do next; None if there is no useful advice.
    details: plain JSON values for programs (each subclass names its own).
    """

    def __init__(self, message: str, *, hint: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details: dict[str, Any] = details

    def __str__(self) -> str:
        text = f"{self.message}\n  {self.hint}" if self.hint else self.message
        if text.replace("\n", "").isprintable():
            return text
        from kernelscope.text import printable  # names that a process chose must not act

        return printable(text, keep="\n\t")

    def to_json(self) -> dict[str, Any]:
        """Return the error as plain JSON values: class, message, hint and details."""
        return {
            "class": type(self).__name__,
            "message": self.message,
            "hint": self.hint,
            "details": self.details,
        }


class ProbeError(KernelScopeError):
    """The name, the files or the parameters of a probe are wrong."""


class ProbeNotFoundError(ProbeError):
    """No probe has that name. details: name, matches."""


class ProbeSpecError(ProbeError):
    """The description of a probe is not valid. details: file, key."""


class ParameterError(ProbeError):
    """An option or a parameter has a bad name or value. details: name, value."""


class RunError(KernelScopeError):
    """A program could not be compiled, loaded, attached or read."""


class CompileError(RunError):
    """Clang rejected the program.

    details: line and column (1-based, in the user's text; None if clang named no place in it),
    text (that line), log (all of clang's output).
    """


class VerifierError(RunError):
    """The kernel's verifier rejected the program.

    details: function, line, text (as in CompileError), reason (the last line of the verifier),
    log (the verifier log, cut at 64 KiB).
    """


class AttachError(RunError):
    """A hook does not exist or cannot be attached. details: hook, function, matches, errno."""


class TargetError(RunError):
    """The process, library or file to trace does not exist. details: target."""


class RequirementError(KernelScopeError):
    """The machine lacks a requirement. details: requirement."""


class AgentError(KernelScopeError):
    """The privileged process could not serve."""


class AgentUnavailableError(AgentError):
    """The agent could not be started. details: command, stderr."""


class AgentRefusedError(AgentError):
    """The checks or the policy of the agent do not allow it. details: field."""


class AgentDiedError(AgentError):
    """The agent, or the process of a run, ended too early. details: stderr, status."""


class AnalysisError(KernelScopeError):
    """A table cannot be analysed or drawn as asked. details: column, lost_share."""


class RecordingError(KernelScopeError):
    """A recording could not be read. details: path, offset."""


class ExportError(KernelScopeError):
    """A result could not be written. details: path."""


class LostEventsWarning(UserWarning):
    """Events were lost: how many, out of how many, and what would help."""


class ProgramWarning(UserWarning):
    """A program runs, but a part of it may not do what it seems to: the part, and how to fix it."""


def _subclasses(base: type[KernelScopeError]) -> dict[str, type[KernelScopeError]]:
    found = {base.__name__: base}
    for child in base.__subclasses__():
        found.update(_subclasses(child))
    return found


def from_json(data: Mapping[str, Any]) -> KernelScopeError:
    """Rebuild an error that `to_json` wrote; an unknown class becomes a RunError."""
    kind = _subclasses(KernelScopeError).get(str(data.get("class")), RunError)
    details = data.get("details")
    hint = data.get("hint")
    error = kind(
        str(data.get("message", "unknown error")), hint=None if hint is None else str(hint)
    )
    error.details = dict(details) if isinstance(details, Mapping) else {}
    return error


def did_you_mean(name: str, known: Sequence[str], limit: int = 3) -> list[str]:
    """Return the names in `known` closest to `name`, best first, at most `limit`.

    Names that start with `name` (pread: pread64) come before those with a similar spelling.
    """
    import difflib  # costs 4 ms, and only an error needs it

    lowered = {k.lower(): k for k in known}
    longer = sorted((k for k in lowered if len(name) > 2 and k.startswith(name.lower())), key=len)
    alike = difflib.get_close_matches(name.lower(), lowered, n=limit, cutoff=0.6)
    within = [k for k in lowered if name.lower() in k]
    found = list(dict.fromkeys([*longer, *alike, *within]))
    return [lowered[k] for k in found[:limit]]


def suggestion(matches: Sequence[str]) -> str:
    """Return close matches as a hint: "Did you mean a or b?"; "" if there are none."""
    return f"Did you mean {' or '.join(matches)}?" if matches else ""
