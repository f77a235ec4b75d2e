"""A burst at once, then so many a second, whatever the pattern."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.bucket import Bucket


def test_a_burst_is_let_through_and_then_the_rate() -> None:
    bucket = Bucket(2, 3, at=10)
    waits = []
    for _ in range(5):
        waits.append(bucket.wait_s(10))
        bucket.take()

    assert waits == [0, 0, 0, 0.5, 1.0]
    assert bucket.wait_s(11.5) == 0


@given(st.lists(st.floats(0, 3), max_size=200), st.floats(1, 50), st.integers(1, 20))
def test_never_more_than_the_burst_and_the_rate(
    pauses: list[float], rate: float, size: int
) -> None:
    now = 0.0
    bucket = Bucket(rate, size, now)
    taken = 0
    for pause in pauses:
        now += pause
        if bucket.wait_s(now) == 0:
            bucket.take()
            taken += 1

    assert taken <= size + rate * now + 1e-6


@given(st.lists(st.floats(0, 3), max_size=200), st.floats(1, 50), st.integers(1, 20))
def test_one_is_taken_whenever_there_would_be_no_wait(
    pauses: list[float], rate: float, size: int
) -> None:
    now = 0.0
    asked, taken = Bucket(rate, size, now), Bucket(rate, size, now)
    for pause in pauses:
        now += pause
        there = asked.wait_s(now) == 0
        if there:
            asked.take()
        assert taken.took(now) == there
        assert taken == asked
