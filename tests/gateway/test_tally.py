"""What a session adds to the metrics: above all, how old audio is when its text is there."""

import tracemalloc
from typing import Any

import pytest

from engine.messages import ms_to_samples
from engine.transcript import Partial
from gateway import tally
from gateway.metrics import Metrics
from gateway.tally import MARK_EVERY_S, MARKS, Arrivals, Tally
from tests.gateway.test_metrics import samples


def partial(end_ms: int, revision: int = 1) -> Partial:
    return Partial(1, revision, "", " text", 0, ms_to_samples(end_ms), "en")


@pytest.mark.parametrize("frame_s", [0.02, 0.1, 0.5, 3.0])
def test_audio_is_as_old_as_the_frame_that_its_last_sample_came_in(frame_s: float) -> None:
    """To within what is grouped: a real-time sender, whose frame comes when its end was spoken."""
    arrivals = Arrivals()
    for i in range(1, 60):
        arrivals.note(i * frame_s, now=100 + i * frame_s)
    heard_s = 59 * frame_s

    for back in (0.0, 0.3, 1.2, 7.9):
        age = arrivals.age(heard_s - back * frame_s, now=100 + heard_s)
        grouped_s = MARK_EVERY_S if frame_s < MARK_EVERY_S else 0
        assert int(back) * frame_s - grouped_s - 1e-9 <= age <= int(back) * frame_s + 1e-9


def test_of_what_came_long_ago_the_least_is_known() -> None:
    arrivals = Arrivals()
    for i in range(1, 1000):
        arrivals.note(i * 0.1, now=i * 0.1)

    assert arrivals.age(0.1, now=99.9) == pytest.approx((MARKS - 1) * 0.1, abs=0.11)


def test_nothing_is_allocated_as_audio_comes() -> None:
    arrivals = Arrivals()
    arrivals.note(0.1, 0.1)
    tracemalloc.start()
    try:
        for i in range(10_000):
            arrivals.note(i * 0.1, i * 0.1)
        taken = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    ours = taken.filter_traces([tracemalloc.Filter(True, tally.__file__)])

    assert sum(trace.size for trace in ours.traces) < 1000


def tallied(start_s: float = 0.0) -> tuple[Tally, Any]:
    metrics = Metrics()
    return Tally(metrics, start_s), lambda: samples(metrics)


def test_a_chunk_counts_when_its_first_partial_is_queued_and_once() -> None:
    tally, shown = tallied()
    tally.heard(2.0, now=10.0)
    tally.heard(2.1, now=10.1)

    tally.says(partial(2000), now=10.25)
    tally.says(partial(2000, revision=2), now=10.5)

    assert shown()["scribewire_chunk_to_partial_seconds_count"] == 1
    assert shown()["scribewire_chunk_to_partial_seconds_sum"] == pytest.approx(0.25)
    assert shown()["scribewire_partial_lag_seconds_count"] == 2
    assert shown()["scribewire_partial_lag_seconds_sum"] == pytest.approx(0.2)


def test_audio_that_another_process_heard_is_not_counted_again() -> None:
    tally, shown = tallied(start_s=60.0)
    tally.heard(60.5, now=1.0)
    tally.add_up()
    tally.heard(61.5, now=2.0)
    tally.add_up()
    tally.add_up()

    assert shown()["scribewire_audio_seconds_total"] == pytest.approx(1.5)
