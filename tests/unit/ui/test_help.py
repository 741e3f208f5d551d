"""The description of a probe: everything in its files, and its hooks on this kernel."""

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
def test_shows_everything_in_the_files_of_a_probe(probe: Probe) -> None:
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


def test_marks_the_hook_used_on_this_kernel() -> None:
    probe = catalogue.find("biolatency")
    first, *others = probe.hooks[0].any_of
    reasons: dict[str, str | None] = {first: "no such tracepoint"} | dict.fromkeys(others)

    shown = help.hooks_text(probe, reasons, None)

    assert f"{first}  (not here: no such tracepoint)" in shown
    for function in re.findall(r"(?m)^  (\w+)$", shown):
        part = shown.partition(f"  {function}\n")[2]
        assert part.count("<- used on this kernel") >= bool(others)


def test_reports_that_the_kernel_could_not_be_asked() -> None:
    def check(specs: list[str]) -> dict[str, str | None]:
        raise AgentUnavailableError("no privilege", command=[], stderr="")

    shown = repr(help.description(catalogue.find("runqlat"), check))
    assert "Which of them this kernel supports is not known: no privilege" in shown
    assert "tp_btf:sched_switch" in shown
    assert "used on this kernel" not in shown


def test_colours_the_c_source() -> None:
    page = help.description(catalogue.find("runqlat"), none_refused)
    assert "\x1b[" in page.in_colour()
    assert re.sub(r"\x1b\[[\d;]*m", "", page.in_colour()) == repr(page)
    assert "<span style=" in page._repr_html_()
    assert "<- " not in page._repr_html_()


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
def test_describes_a_plot_in_a_line(plot: Plot, text: str) -> None:
    assert help.plot_text(plot) == text


@pytest.mark.parametrize("words", ["", "runqlat syscount", "--help"])
def test_show_takes_one_name(words: str) -> None:
    with pytest.raises(ParameterError, match="show takes the name of one probe"):
        help.probe_to_show(words.split(), "kernelscope show")
