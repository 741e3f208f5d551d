"""Requests as the options of a run make them, without a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kernelscope.probe import catalogue
from kernelscope.probe.model import Probe
from kernelscope.tracing import build_request, options
from kernelscope.tracing.plan import ALONE, Placement
from kernelscope.tracing.request import Request


def of_probe(
    probe: str | Probe,
    given: Mapping[str, Any] | None = None,
    *,
    where: str = "api",
    placement: Placement = ALONE,
) -> Request:
    found = catalogue.find(probe) if isinstance(probe, str) else probe
    split = options.split(given or {}, found, where=where)
    return build_request.of_probe(found, split, placement)


def of_source(source: str, given: Mapping[str, Any], *, where: str = "api") -> Request:
    return build_request.of_source(source, options.split(given, where=where))
