"""How far the cadence stretches when steps do not all fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.messages import SAMPLE_RATE
from engine.pacing import TARGET_LOAD, Pacing

costs = st.lists(st.tuples(st.floats(0.001, 10), st.integers(1, 64)), min_size=1, max_size=20)


def test_nothing_measured_stretches_nothing() -> None:
    assert Pacing().cadence(1000) == 0


def test_the_first_batch_counts_at_once() -> None:
    pacing = Pacing()
    pacing.observe(0.5, 10)

    assert pacing.step_cost_s == pytest.approx(0.05)


@given(costs, st.integers(1, 1000))
def test_at_that_cadence_all_steps_just_fit(seen: list[tuple[float, int]], active: int) -> None:
    pacing = Pacing()
    for seconds, steps in seen:
        pacing.observe(seconds, steps)

    cadence_s = (pacing.cadence(active) + 1) / SAMPLE_RATE
    assert active * pacing.step_cost_s <= TARGET_LOAD * cadence_s * (1 + 1e-9)


@given(costs)
def test_the_cost_is_within_what_was_seen(seen: list[tuple[float, int]]) -> None:
    pacing = Pacing()
    for seconds, steps in seen:
        pacing.observe(seconds, steps)

    each = [seconds / steps for seconds, steps in seen]
    assert min(each) * (1 - 1e-9) <= pacing.step_cost_s <= max(each) * (1 + 1e-9)


@given(costs, st.integers(0, 100), st.integers(0, 100))
def test_more_sessions_never_get_a_shorter_cadence(
    seen: list[tuple[float, int]], fewer: int, more: int
) -> None:
    pacing = Pacing()
    for seconds, steps in seen:
        pacing.observe(seconds, steps)

    assert pacing.cadence(fewer) <= pacing.cadence(fewer + more)


def test_a_single_step_that_waits_long_says_little_beside_full_batches() -> None:
    pacing = Pacing()
    for _ in range(20):
        pacing.observe(0.064, 64)
        pacing.observe(0.010, 1)

    assert pacing.step_cost_s < 0.0015


def test_the_cost_follows_a_change() -> None:
    pacing = Pacing()
    pacing.observe(1.0, 1)
    for _ in range(50):
        pacing.observe(0.1, 1)

    assert pacing.step_cost_s == pytest.approx(0.1, rel=0.1)


def test_nobody_speaking_needs_no_cadence() -> None:
    pacing = Pacing()
    pacing.observe(5.0, 1)

    assert pacing.cadence(0) == 0
