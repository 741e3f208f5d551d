"""What is recorded of a probe: its costs, and where they and its example go in its description."""

from __future__ import annotations

import tomllib

import pandas as pd
import pytest

from kernelscope.probe import catalogue
from kernelscope.tables.results import Tables
from tools.record import probe_costs, record_probes


def ns_per_event(result: object, busiest: int, total: int, time_ns: int) -> float | None:
    found: float | None = probe_costs.ns_per_event(
        result, probe_costs.Runs(busiest, total, time_ns)
    )
    return found


def counted(*counts: int) -> pd.DataFrame:
    return pd.DataFrame({"count": counts})


def test_an_event_is_what_the_table_counts_or_a_row() -> None:
    assert ns_per_event(counted(60, 40), busiest=90, total=200, time_ns=10_000) == 100
    assert ns_per_event(pd.DataFrame({"pid": range(50)}), 40, 100, 10_000) == 200


def test_an_event_that_a_threshold_hides_was_looked_at_all_the_same() -> None:
    assert ns_per_event(pd.DataFrame({"pid": []}), busiest=100, total=200, time_ns=10_000) == 100


def test_there_are_no_more_events_than_runs() -> None:
    """What counts bytes or pages does not run once for each."""
    assert ns_per_event(counted(4096), busiest=10, total=10, time_ns=1_000) == 100


def test_the_table_with_the_most_events_counts() -> None:
    result = Tables({"calls": counted(3), "latency": counted(100)}, {})
    assert ns_per_event(result, busiest=50, total=200, time_ns=10_000) == 100


def test_a_program_that_never_ran_costs_nothing_known() -> None:
    assert ns_per_event(counted(), busiest=0, total=0, time_ns=0) is None


@pytest.mark.parametrize(("ns", "shown"), [(1234.5, 1200), (98.7, 99), (10499, 10000), (7.04, 7)])
def test_a_cost_has_two_digits(ns: float, shown: float) -> None:
    assert probe_costs.rounded(ns) == shown


@pytest.mark.parametrize("name", ["runqlat", "syscount"])
def test_an_example_and_a_cost_go_into_the_description_and_nothing_else_changes(name: str) -> None:
    text = catalogue.find(name).path.read_text()
    with_example, with_cost = record_probes._with_example, record_probes._with_cost
    new = with_cost(with_example(text, "a  b\n1  \\2"), 4321.0)

    before, after = tomllib.loads(text), tomllib.loads(new)
    assert after["example"].strip() == "a  b\n1  \\2"
    assert after["overhead"]["ns_per_event"] == 4321
    for found in (before, after):
        del found["example"], found["overhead"]["ns_per_event"]
    assert before == after


def test_a_description_without_them_gets_them() -> None:
    text = 'area = "x"\nexample = ""\n\n[overhead]\nlevel = "low"\nnote = "n"\n'
    new = record_probes._with_cost(record_probes._with_example(text, "e"), 5.0)
    assert tomllib.loads(new)["overhead"] == {"level": "low", "ns_per_event": 5, "note": "n"}
    assert tomllib.loads(new)["example"].strip() == "e"
