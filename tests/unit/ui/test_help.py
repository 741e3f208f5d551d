"""What is told about a probe: everything its files hold, and what this kernel makes of it."""

from __future__ import annotations

import re

import pytest

from kernelscope.errors import AgentUnavailableError, ParameterError
from kernelscope.probe import catalogue
from kernelscope.probe.model import Plot, Probe
from kernelscope.ui import help

every_probe = pytest.mark.parametrize(
    "probe", catalogue.catalogue().values(), ids=list(catalogue.catalogue())
)


def none_refused(specs: list[str]) -> dict[str, str | None]:
    return dict.fromkeys(specs)


def folded(text: str) -> str:
    """Return the text without its blanks, as it is wherever it was folded."""
    return "".join(text.split())


@every_probe
def test_everything_in_a_probes_files_is_shown(probe: Probe) -> None:
    shown = repr(help.description(probe, none_refused))
    flat = folded(shown)

    assert folded(probe.summary) in flat
    assert folded(probe.description) in flat
    assert all(folded(caveat) in flat for caveat in probe.caveats)
    assert all(column.name in shown for table in probe.tables for column in table.columns)
    assert all(folded(plot.title) in flat for plot in probe.plots)
    assert f"Overhead: {probe.overhead.level}" in shown
    assert shown.endswith(probe.source.rstrip())
    for parameter in probe.parameters:
        assert f"--{parameter.name.replace('_', '-')}" in shown
        for bound in (parameter.minimum, parameter.maximum):
            assert bound is None or f"{bound:,g}" in flat


def test_of_several_hooks_the_one_that_this_kernel_takes_is_marked() -> None:
    probe = catalogue.find("biolatency")
    first, *others = probe.hooks[0].any_of
    reasons: dict[str, str | None] = {first: "no such tracepoint"} | dict.fromkeys(others)

    shown = help.hooks(probe, reasons, None)

    assert f"{first}  (not here: no such tracepoint)" in shown
    for function in re.findall(r"(?m)^  (\w+)$", shown):
        part = shown.partition(f"  {function}\n")[2]
        assert part.count("<- this kernel takes it") >= bool(others)


def test_where_the_kernel_cannot_be_asked_that_is_said() -> None:
    def check(specs: list[str]) -> dict[str, str | None]:
        raise AgentUnavailableError("no privilege", command=[], stderr="")

    shown = repr(help.description(catalogue.find("runqlat"), check))
    assert "Which of them this kernel takes is not known: no privilege" in shown
    assert "tp_btf:sched_switch" in shown
    assert "this kernel takes it" not in shown


def test_the_c_is_coloured_in_a_terminal_and_in_a_notebook() -> None:
    told = help.description(catalogue.find("runqlat"), none_refused)
    assert "\x1b[" in told.in_colour()
    assert re.sub(r"\x1b\[[\d;]*m", "", told.in_colour()) == repr(told)
    assert "<span style=" in told._repr_html_()
    assert "<- " not in told._repr_html_()


@pytest.mark.parametrize(
    ("plot", "text"),
    [
        (Plot("histogram", x="latency_us", by="comm", title="Wait"),
         "histogram of latency_us by comm: Wait"),
        (Plot("bars", x="comm", value="count"), "bars of comm"),
        (Plot("timeseries", x="time", y="rx_bytes"), "timeseries of rx_bytes over time"),
        (Plot("flamegraph"), "flamegraph"),
    ],
)  # fmt: skip
def test_a_plot_is_told_in_a_line(plot: Plot, text: str) -> None:
    assert help.plot_text(plot) == text


@pytest.mark.parametrize("words", ["", "runqlat syscount", "--help"])
def test_show_takes_one_name(words: str) -> None:
    with pytest.raises(ParameterError, match="show takes a probe's name"):
        help.named(words, "kernelscope show")
