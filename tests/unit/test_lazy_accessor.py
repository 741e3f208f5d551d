"""`import kernelscope` alone gives DataFrames `df.ks`, without importing pandas."""

from __future__ import annotations

import subprocess
import sys

import pytest

USE = "df = pandas.DataFrame({'comm': ['a', 'a'], 'count': [3, 4]}); assert len(df.ks.top()) == 1"


@pytest.mark.parametrize(
    "code",
    [
        f"import kernelscope, pandas; {USE}",
        f"import pandas, kernelscope; {USE}",
        f"import kernelscope; from pandas import DataFrame; import pandas; {USE}",
        "import kernelscope, pandas; assert pandas.DataFrame.ks.__name__ == 'Accessor'",
        f"import pandas, kernelscope; from kernelscope import accessor; accessor.register(); {USE}",
        "import kernelscope, pandas, sys; assert 'kernelscope.accessor' not in sys.modules",
        "import kernelscope, sys; assert 'pandas' not in sys.modules",
    ],
)
def test_df_ks_is_there_when_pandas_is(code: str) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_another_accessor_of_that_name_is_kept() -> None:
    code = (
        "import pandas as pd; pd.DataFrame.ks = 7; import kernelscope; assert pd.DataFrame.ks == 7"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_a_machine_without_pandas_says_so() -> None:
    code = (
        "import sys, kernelscope; sys.path = [p for p in sys.path if 'site-packages' not in p]\n"
        "try:\n    import pandas\nexcept ModuleNotFoundError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "No module named 'pandas'\n"
