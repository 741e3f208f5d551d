"""`df.ks` gives a result's numbers, pictures and receipt."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

from kernelscope import accessor
from kernelscope.errors import AnalysisError


@pytest.fixture
def df() -> pd.DataFrame:
    accessor.register()
    frame = pd.DataFrame({"comm": ["a", "a", "b"], "latency_us": [1.0, 2.0, 3.0]})
    frame.attrs["kernelscope"] = {"name": "cell", "lost": {"ring_full": 0, "map_full": 0}}
    return frame


def test_percentiles_and_top_are_the_ones_of_analysis(df: pd.DataFrame) -> None:
    assert df.ks.percentiles(q=100)["value_us"].tolist() == [3.0]
    assert df.ks.top(1, by="comm")["comm"].tolist() == ["a", "other"]


def test_has_the_receipt_and_the_losses(df: pd.DataFrame) -> None:
    df.attrs["kernelscope"]["lost"] = {"ring_full": 2, "map_full": 3}

    assert df.ks.receipt["name"] == "cell"
    assert df.ks.lost == 5
    assert "cell" in repr(df.ks)


def test_any_table_has_it_even_without_a_receipt() -> None:
    accessor.register()

    assert pd.DataFrame().ks.receipt == {}
    assert pd.DataFrame().ks.lost == 0


def test_plot_takes_a_kind_and_its_options(df: pd.DataFrame) -> None:
    figure = df.ks.plot("bars", x="comm", value="latency_us", title="Who waited")

    assert figure.get_suptitle() == "Who waited"
    assert df.ks.plot().get_suptitle() == "Latency"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("pie", {}, "there is no plot 'pie'"),
        ("pie", {"x": "comm"}, "there is no plot 'pie'"),
        (None, {"x": "comm"}, "options need a kind"),
        ("bars", {"y": "comm"}, "has no option 'y'"),
    ],
)
def test_an_unknown_plot_or_option_is_an_error(
    df: pd.DataFrame, kind: str | None, options: dict[str, str], message: str
) -> None:
    with pytest.raises(AnalysisError, match=message):
        df.ks.plot(kind, **options)


def test_registering_twice_changes_nothing_and_imports_no_matplotlib() -> None:
    code = (
        "import sys, warnings; warnings.simplefilter('error'); from kernelscope import accessor;"
        "accessor.register(); accessor.register(); print('matplotlib' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout == "False\n"
