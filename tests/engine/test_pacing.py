"""How far the cadence stretches when steps do not all fit."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.messages import SAMPLE_RATE
from engine.pacing import MAX_BEARABLE, TARGET_LOAD, UNNOTICED_WAIT_S, Pacing

costs = st.lists(st.tuples(st.floats(0.001, 10), st.integers(1, 64)), min_size=1, max_size=20)


def test_nothing_measured_stretches_nothing() -> None:
    assert Pacing().cadence(1000, 1000) == 0


def test_the_first_batch_counts_at_once() -> None:
    pacing = Pacing()
    pacing.observe(0.5, 10)

    assert pacing.step_cost_s == pytest.approx(0.05)


@given(costs, st.integers(1, 1000))
def test_at_that_cadence_all_steps_fit_one_by_one(
    seen: list[tuple[float, int]], active: int
) -> None:
    pacing = Pacing()
    for seconds, steps in seen:
        pacing.observe(seconds, steps)

    cadence_s = (pacing.cadence(active, active) + 1) / SAMPLE_RATE
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

    assert pacing.cadence(fewer, fewer) <= pacing.cadence(fewer + more, fewer + more)


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

    assert pacing.cadence(0, 0) == 0


def test_batches_of_one_step_are_paid_one_by_one() -> None:
    pacing = Pacing()
    for _ in range(50):
        pacing.observe(0.1, 1)

    assert pacing.cadence(40, 40) == pytest.approx(40 * 0.1 / TARGET_LOAD * SAMPLE_RATE)


@given(st.floats(0.01, 0.2), st.floats(0.0005, 0.005), st.integers(0, 1000))
def test_small_batches_tell_what_large_ones_will_take(
    batch_s: float, step_s: float, seed: int
) -> None:
    pacing, luck = Pacing(), Random(seed)
    for _ in range(200):
        steps = luck.randint(1, 12)
        pacing.observe(batch_s + step_s * steps, steps)

    fits_s = (batch_s + 500 * step_s) / TARGET_LOAD
    assert pacing.cadence(500, 1) / SAMPLE_RATE == pytest.approx(fits_s, rel=0.5)


@given(st.integers(50, 400))
def test_a_gpu_that_is_seldom_full_does_not_stretch_itself_empty(active: int) -> None:
    """Batches hold what became due during the one before, as with the engine's own."""
    pacing, luck, cadence_s = Pacing(), Random(active), 2.0
    for _ in range(500):
        arrived = active / cadence_s * 0.09
        steps = max(1, round(arrived + luck.gauss(0, arrived**0.5)))
        pacing.observe(0.070 + 0.002 * steps, steps)
        cadence_s = max(2.0, pacing.cadence(active, 1) / SAMPLE_RATE)

    assert cadence_s < 2.5


@given(costs, st.integers(1, 64))
def test_no_more_is_needed_than_was_spent(seen: list[tuple[float, int]], max_batch: int) -> None:
    pacing = Pacing()
    for seconds, steps in seen:
        pacing.observe(seconds, steps)

        assert 0 <= pacing.needed_s(seconds, steps, max_batch) <= seconds
        assert pacing.needed_s(seconds, max_batch, max_batch) == seconds


@given(st.floats(0.001, 10), st.integers(1, 8), st.integers(1, 64))
def test_all_is_needed_while_batches_do_not_differ(
    seconds: float, steps: int, max_batch: int
) -> None:
    pacing = Pacing()
    for _ in range(20):
        pacing.observe(seconds, steps)

        assert pacing.needed_s(seconds, steps, max_batch) == seconds


@given(st.integers(20, 300), st.integers(0, 1000))
def test_a_gpu_needs_what_its_steps_take_however_small_its_batches_are(
    rate: int, seed: int
) -> None:
    """Steps come by chance; a batch has those that came during the one before."""
    pacing, luck, spent_s, needed_s, took = Pacing(), Random(seed), 0.0, 0.0, 0
    seconds = 0.072
    for _ in range(400):
        steps = max(1, sum(luck.random() < seconds / 2 for _ in range(2 * rate)))
        seconds = 0.070 + 0.002 * steps
        pacing.observe(seconds, steps)
        spent_s += seconds
        needed_s += pacing.needed_s(seconds, steps, 1024)
        took += steps

    assert needed_s == pytest.approx(took * (0.002 + 0.070 / 1024), rel=0.1, abs=0.1 * spent_s)


@given(costs, st.integers(1, 100))
def test_fewer_batches_never_take_longer(seen: list[tuple[float, int]], active: int) -> None:
    pacing = Pacing()
    for seconds, steps in seen:
        pacing.observe(seconds, steps)

    assert pacing.cadence(active, 1) <= pacing.cadence(active, active)


def test_the_first_small_batch_does_not_keep_a_crowd_waiting() -> None:
    pacing = Pacing()
    pacing.observe(0.072, 1)

    assert pacing.cadence(400, 1) / SAMPLE_RATE == pytest.approx(0.072 / TARGET_LOAD, rel=0.01)


def test_audio_that_is_heard_soon_stretches_nothing() -> None:
    """Nor does a moment's crowd."""
    pacing = Pacing()
    for _ in range(100):
        pacing.observe_wait(UNNOTICED_WAIT_S)
    assert pacing.bearable == 0

    pacing = Pacing()
    pacing.observe_wait(4 * UNNOTICED_WAIT_S)
    assert pacing.bearable == 0


def test_the_longer_audio_waits_the_less_often_steps_come() -> None:
    pacing, found = Pacing(), []
    for wait_s in (0.2, 0.5, 1.0, 5.0, 50.0):
        for _ in range(100):
            pacing.observe_wait(wait_s)
        found.append(pacing.bearable)

    assert found == sorted(found)
    assert found[1] > 2 * SAMPLE_RATE
    assert found[3:] == [MAX_BEARABLE, MAX_BEARABLE], "a segment of any length has a partial"
    for _ in range(100):
        pacing.observe_wait(0)
    assert pacing.bearable == 0
