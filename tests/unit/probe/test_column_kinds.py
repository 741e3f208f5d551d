"""A kind of column is one record; decoding, adding up and grouping follow from it."""

from __future__ import annotations

import numpy as np
import pytest

from kernelscope.probe import column_kinds
from kernelscope.probe.column_kinds import COLUMN_KINDS, ColumnKind
from kernelscope.probe.model import Column
from kernelscope.tables import column_decoders
from kernelscope.tables.assemble import amounts
from kernelscope.ui.live.counting.shape import shape_of


@pytest.mark.parametrize("kind", COLUMN_KINDS.values(), ids=COLUMN_KINDS)
def test_each_has_a_decoder_and_a_meaning(kind: ColumnKind) -> None:
    assert callable(kind.load_decoder())
    assert kind.meaning


@pytest.fixture
def celsius(monkeypatch: pytest.MonkeyPatch) -> Column:
    """A kind from outside the package: a temperature in thousandths of a degree."""
    monkeypatch.setitem(COLUMN_KINDS, "celsius", COLUMN_KINDS["float"])  # undone afterwards
    column_kinds.register(
        ColumnKind("celsius", "1/1000 degree -> degrees", lambda source: source.values / 1000)
    )
    return Column("temperature", "celsius", "value.temperature")


def test_one_from_outside_is_decoded(celsius: Column) -> None:
    source = column_decoders.Source(np.array([20_500, -1_000]), celsius, column_decoders.Context())

    assert column_decoders.decode(source)["temperature"].tolist() == [20.5, -1.0]


def test_one_from_outside_is_a_label_and_additive_as_it_states(celsius: Column) -> None:
    def shape() -> tuple[str, ...]:
        return tuple(bar.label for bar in shape_of("t", [celsius], [], is_map=False).bars)

    assert amounts([celsius]) == {}
    assert shape() == ()

    column_kinds.register(ColumnKind("celsius", "", lambda s: s, label=True, additive=True))

    assert amounts([celsius]) == {"temperature": "sum"}
    assert shape() == ("temperature",)
