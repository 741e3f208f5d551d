"""On a thousand distributions of many shapes, a percentile is always within its stated bounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from kernelscope.analysis import percentiles
from kernelscope.tables.histogram import slot_bounds

Values = npt.NDArray[np.int64]
Q = [0, 1, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100]
FAMILIES: dict[str, Callable[[np.random.Generator, int], npt.NDArray[np.float64]]] = {
    "uniform": lambda r, n: r.uniform(0, 10 ** r.uniform(0, 9), n),
    "normal": lambda r, n: r.normal(1e6, 10 ** r.uniform(0, 5), n),
    "exponential": lambda r, n: r.exponential(10 ** r.uniform(0, 9), n),
    "log-normal": lambda r, n: r.lognormal(r.uniform(0, 18), r.uniform(0.01, 3), n),
    "pareto": lambda r, n: (1 + r.pareto(r.uniform(0.3, 3), n)) * 1000,
    "weibull": lambda r, n: r.weibull(r.uniform(0.2, 5), n) * 1e5,
    "two modes": lambda r, n: np.where(
        r.random(n) < r.uniform(0, 1), r.normal(2e3, 50, n), r.normal(8e6, 1e5, n)
    ),
    "constant": lambda r, n: np.full(n, 10 ** r.uniform(0, 12)),
    "few values": lambda r, n: r.choice(2.0 ** np.arange(40), n),
    "powers less one": lambda r, n: r.choice(2.0 ** np.arange(1, 40) - 1, n),
}
SEEDS = range(100)


def made(family: str, seed: int) -> Values:
    random = np.random.default_rng([seed, *family.encode()])
    number = int(random.choice([1, 2, 10, 97, 1009, 5003]))
    found = FAMILIES[family](random, number)
    return np.clip(np.nan_to_num(found, posinf=2**62), 0, 2**40).astype(np.int64)


def histogram(values: Values, histogram_of: str, most: int) -> pd.DataFrame:
    lows = np.unique(slot_bounds(np.arange(most), histogram_of)[0])
    slots, counts = np.unique(np.searchsorted(lows, values, "right") - 1, return_counts=True)
    low, high = slot_bounds(slots, histogram_of)
    return pd.DataFrame({"latency_low_ns": low, "latency_high_ns": high, "count": counts})


def exact(values: Values) -> npt.NDArray[np.int64]:
    """Return the values of the nearest ranks, counted without floats."""
    ranks = [max(1, -(-round(q * 100) * len(values) // 10_000)) for q in Q]
    return np.sort(values)[np.array(ranks) - 1]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_true_percentile_is_within_the_bounds(family: str) -> None:
    values = [made(family, seed) for seed in SEEDS]
    true = np.concatenate([exact(each) for each in values])
    buckets = [histogram(v, "log_linear", 496).assign(seed=n) for n, v in enumerate(values)]
    found = percentiles.percentiles(pd.concat(buckets), q=Q, by="seed")
    single = pd.concat(pd.DataFrame({"latency_ns": v, "seed": n}) for n, v in enumerate(values))

    assert len(found) == len(SEEDS) * len(Q)
    assert (found["low_ns"] <= true).all()
    assert (true < found["high_ns"]).all()
    assert found["value_ns"].between(found["low_ns"], found["high_ns"]).all()
    assert ((found["high_ns"] - found["low_ns"]) <= np.maximum(1, true / 8)).all()
    assert (percentiles.percentiles(single, q=Q, by="seed")["value_ns"] == true).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_events_lost_at_random_leave_it_within_the_bounds(family: str) -> None:
    for seed in (97, 98, 99):
        values = made(family, seed)
        kept = values[np.random.default_rng(seed).random(len(values)) > 0.05]
        table = histogram(kept, "log_linear", 496)
        table.attrs["kernelscope"] = {"lost": {"map_full": len(values) - len(kept)}}
        found = percentiles.percentiles(table, q=Q, max_lost=1)

        if len(kept):
            assert (found["low_ns"] <= exact(values)).all(), seed
            assert (exact(values) <= found["high_ns"]).all(), seed
