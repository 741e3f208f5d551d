"""How each kind of hook is attached: a file for each family, and the registry."""

from __future__ import annotations

from kernelscope.agent.attach.kinds import kernel_events, links, perf_events, tracing, user_events
from kernelscope.agent.attach.kinds.base import Attacher
from kernelscope.protocol.hook_grammar import ParsedHook

ATTACHERS: dict[str, Attacher] = {
    **kernel_events.ATTACHERS,
    **tracing.ATTACHERS,
    **user_events.ATTACHERS,
    **perf_events.ATTACHERS,
    **links.ATTACHERS,
}


def attacher_of(hook: ParsedHook) -> Attacher:
    """Return how a hook of that kind is attached."""
    return ATTACHERS[hook.kind]
