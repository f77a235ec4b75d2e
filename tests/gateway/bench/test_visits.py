"""Who comes when, for how long, and how they leave."""

import random
from collections import Counter
from dataclasses import replace
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bench.plan import Kind, Load, Track, Visit
from gateway.bench.visits import SHORTEST_S, Shape, arrivals, turns, visits

NATIVE, OTHER = Kind(Track("a", b"")), Kind(Track("b", b""), "deepgram")

shapes = st.builds(
    Shape,
    sessions=st.integers(1, 30),
    over_s=st.floats(0, 60),
    for_s=st.floats(2, 120),
    kept=st.just(True),
    per_min=st.none() | st.floats(1, 300),
    length_s=st.none() | st.floats(1, 60),
    fixed=st.booleans(),
    vanish=st.floats(0, 0.5),
    resume=st.floats(0, 0.5),
    seed=st.integers(0, 99),
)


def planned(shape: Shape, *kinds: Kind) -> tuple[Visit, ...]:
    return visits(shape, kinds or (NATIVE,), frame_ms=100)


def open_at(found: tuple[Visit, ...], at_s: float) -> int:
    return sum(each.at_s <= at_s < each.at_s + each.frames / 10 for each in found)


@given(shapes)
def test_all_come_in_order_within_the_time_and_stay_a_while(shape: Shape) -> None:
    found = planned(shape, NATIVE, OTHER)

    assert found == planned(shape, NATIVE, OTHER)  # the same seed, the same visits
    assert all(a.at_s <= b.at_s for a, b in pairwise(found))
    for each in found:
        assert 0 <= each.at_s <= shape.ends_s - SHORTEST_S
        assert each.frames / 10 >= SHORTEST_S - 0.05
        # Rounded to whole frames, half a one up: 2.15 + 0.05 is a little less than 2.2.
        assert each.at_s + each.frames / 10 <= shape.ends_s + 0.05 + 1e-9


@given(shapes.filter(lambda shape: shape.per_min is None))
def test_every_place_is_taken_from_its_time_to_the_end(shape: Shape) -> None:
    found = planned(shape)

    spoken_s = sum(each.frames for each in found) / 10
    places = [i * shape.over_s / shape.sessions for i in range(shape.sessions)]
    assert spoken_s == pytest.approx(sum(shape.ends_s - at_s for at_s in places),
                                     abs=0.051 * len(found))  # fmt: skip
    assert {*places} <= {each.at_s for each in found}


def test_sessions_that_are_played_once_all_say_the_same() -> None:
    found = planned(Shape(sessions=4, over_s=2, for_s=1), NATIVE, OTHER)

    assert [each.at_s for each in found] == [0, 0.5, 1, 1.5]
    assert [each.kind for each in found] == [0, 1, 0, 1]
    assert {each.frames for each in found} == {10}
    assert {each.ending for each in found} == {"stop"}


def test_a_ramp_is_a_slope_and_then_level() -> None:
    found = planned(Shape(sessions=100, over_s=50, for_s=30, kept=True))

    assert [open_at(found, at_s) for at_s in (0, 25, 49.9, 60, 79.8)] == [1, 51, 100, 100, 100]
    assert len(found) == 100


def test_lengths_are_exponential_or_fixed_and_the_next_takes_the_place() -> None:
    shape = Shape(sessions=20, over_s=0, for_s=4000, kept=True, length_s=20)

    lengths = [each.frames / 10 for each in planned(shape)]
    fixed = planned(replace(shape, fixed=True))

    assert sum(lengths) / len(lengths) == pytest.approx(20, rel=0.06)
    assert sum(each < 20 * 0.69 for each in lengths) / len(lengths) == pytest.approx(0.5, abs=0.05)
    assert {each.frames for each in fixed} == {200}
    assert len(fixed) == 20 * 200


def test_arrivals_are_a_poisson_process_that_may_begin_slowly() -> None:
    rng = random.Random(1)
    steady = [*arrivals(2, 0, 2000, rng)]
    growing = [*arrivals(2, 1000, 2000, rng)]

    pauses = [b - a for a, b in pairwise(steady)]
    mean = sum(pauses) / len(pauses)
    assert mean == pytest.approx(0.5, rel=0.06)
    assert sum(each > mean for each in pauses) / len(pauses) == pytest.approx(0.368, abs=0.03)
    halves = Counter(at > 1000 for at in growing)
    assert halves[False] == pytest.approx(1000, rel=0.15)
    assert halves[True] == pytest.approx(2000, rel=0.1)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_kinds_take_turns_by_their_weights(weights: list[int]) -> None:
    rounds = Counter(islice(turns(weights), 3 * sum(weights)))

    assert rounds == {i: 3 * weight for i, weight in enumerate(weights)}


def test_equal_weights_take_turns_in_order() -> None:
    assert [*islice(turns([1, 1, 1]), 6)] == [0, 1, 2, 0, 1, 2]


def test_endings_have_their_shares_and_only_our_own_protocol_resumes() -> None:
    shape = Shape(2000, 0, 10, vanish=0.2, resume=0.3)

    found = planned(shape, NATIVE, OTHER)

    shares = Counter((each.kind, each.ending) for each in found)
    assert shares[0, "vanish"] == pytest.approx(200, rel=0.25)
    assert shares[0, "resume"] == pytest.approx(300, rel=0.25)
    assert shares[1, "resume"] == 0
    assert shares[1, "vanish"] == pytest.approx(200, rel=0.25)


def test_a_load_knows_its_peak() -> None:
    found = planned(Shape(sessions=7, over_s=3, for_s=10, kept=True, length_s=2, fixed=True))

    assert Load("ws://x", (NATIVE,), found, frame_ms=100).peak == 7
