"""Results have `ks` for people and for type checkers: mypy checks this file, too."""

from __future__ import annotations

import pandas as pd
import pytest
from unit.builders.fake_agent import (
    COUNTS,
    EVENTS,
    FakeAgent,
    FakeChannel,
    attached,
    counts,
    events,
    receipt,
)

from kernelscope.tables.results import Results, Tables
from kernelscope.tracing.session import Session

ONE = [attached(EVENTS), events((7, 10), (8, 20)), receipt()]
TWO = [attached(EVENTS, COUNTS), events((7, 10)), counts({1: 5}), receipt()]


def session(frames: list[object]) -> Session:
    return Session(agent=FakeAgent(FakeChannel(frames)))  # type: ignore[arg-type]


def test_a_runs_result_has_ks_without_a_cast() -> None:
    assert session([*ONE]).run(source="int f;").ks.lost == 0


def test_a_table_that_was_chosen_is_a_dataframe_without_a_cast() -> None:
    chosen = session([*TWO]).run(source="int f;", table="counts")

    assert chosen.head(1)["value"].tolist() == [5]
    assert isinstance(chosen, pd.DataFrame)


def test_ks_of_several_tables_names_them() -> None:
    result = session([*TWO]).run(source="int f;")

    assert isinstance(result, Tables)
    with pytest.raises(AttributeError, match=r"events, counts.*result\['events'\]\.ks"):
        _ = result.ks
    assert not hasattr(result, "ks")


def test_ks_of_several_probes_names_their_tables() -> None:
    table = pd.DataFrame({"a": [1]})
    result = Results({"opensnoop": table, "syscount": Tables({"calls": table}, {})}, {})

    with pytest.raises(AttributeError, match=r"opensnoop, syscount\.calls"):
        _ = result.ks
