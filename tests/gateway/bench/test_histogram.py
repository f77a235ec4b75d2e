"""Percentiles of what is only counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bench.histogram import Histogram


def of(values: list[float]) -> Histogram:
    histogram = Histogram(1)
    histogram.add([0] * len(values), values)
    return histogram


def test_percentiles_are_within_half_a_percent() -> None:
    found = of([*map(float, range(1, 10_001))]).summary()

    assert found["p50"] == pytest.approx(5000, rel=0.006)
    assert found["p95"] == pytest.approx(9500, rel=0.006)
    assert found["p99"] == pytest.approx(9900, rel=0.006)
    assert (found["max"], found["count"]) == (10_000, 10_000)


def test_nothing_measured_is_no_zero() -> None:
    nothing = {"p50": None, "p95": None, "p99": None, "max": None, "count": 0}

    assert of([]).summary() == nothing
    assert of([]).cumulative() == []


@given(st.lists(st.floats(0.2, 9e5), min_size=1, max_size=60))
def test_a_percentile_is_a_value_that_was_there(values: list[float]) -> None:
    found = of(values).summary()

    exact = np.percentile(values, (50, 95, 99), method="inverted_cdf")
    for name, value in zip(("p50", "p95", "p99"), exact, strict=True):
        assert found[name] == pytest.approx(value, rel=0.0055, abs=0.06)  # told in tenths
    assert found["max"] == round(max(values), 1)


def test_what_is_out_of_bounds_counts_at_the_bounds() -> None:
    found = of([-5.0, 0.0, 1e9]).summary()

    assert (found["p50"], found["max"]) == (0.0, 1e9)


def test_rows_are_apart_and_together() -> None:
    histogram = Histogram(3)
    histogram.add([0, 1, 7], [10.0, 20.0, 40.0])

    assert histogram.summary(slice(0, 1))["max"] == 10
    assert histogram.summary(slice(2, 3))["max"] == 40
    assert histogram.summary()["count"] == 3


def test_the_cumulative_share_ends_with_all() -> None:
    shares = of([1.0, 2.0, 3.0, 4.0]).cumulative()

    assert [share for _, share in shares] == [25, 50, 75, 100]
    assert [ms for ms, _ in shares] == pytest.approx([1, 2, 3, 4], rel=0.006)
