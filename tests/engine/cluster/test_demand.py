"""How many copies a load is worth."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.cluster.demand import BUSY, GROW_AFTER_S, IDLE, SHRINK_AFTER_S, Demand, Look
from engine.pacing import TARGET_LOAD

LOOK_EVERY_S = 0.5
PER_COPY = 20
"""Segments whose steps, one a second of each, take all of a copy's time."""


class Cell:
    """Copies with as many segments as one likes; where these are too many their cadence grows."""

    def __init__(self, copies: int) -> None:
        self.copies = self.wanted = copies
        self.now = 0.0
        self.demand = Demand()

    def look(self, segments: int) -> Look:
        needed = segments / PER_COPY / self.copies
        share = min(TARGET_LOAD, needed)
        steps = segments * (share / needed if needed else 1.0)
        return Look(self.copies, share, steps, segments)

    def passes(self, seconds: float, segments: int) -> int:
        """Copies that are wanted after so long; none of them comes."""
        for _ in range(math.ceil(seconds / LOOK_EVERY_S)):
            self.now += LOOK_EVERY_S
            wanted = self.demand.wanted(self.look(segments), self.wanted, self.now)
            self.wanted = max(1, wanted)
        return self.wanted


@given(st.integers(1, 8), st.integers(1, 500))
def test_a_crowd_gets_all_copies_that_it_needs_at_once(copies: int, crowd: int) -> None:
    assume(crowd % (BUSY * PER_COPY))  # else it is rounding that decides
    cell = Cell(copies)
    cell.passes(30, 5 * copies)
    wanted = cell.passes(GROW_AFTER_S + 1, crowd)

    assert wanted == max(copies, math.ceil(crowd / PER_COPY / BUSY))
    assert cell.passes(20, crowd) == wanted


def test_a_crowd_that_grows_while_copies_start_gets_more() -> None:
    cell = Cell(2)
    cell.passes(60, 20)

    assert cell.passes(5, 60) == 5
    assert cell.passes(5, 100) == 8


def test_without_a_quieter_time_to_compare_with_only_the_share_counts() -> None:
    cell = Cell(10)

    assert cell.passes(5, 1000) == math.ceil(10 * TARGET_LOAD / BUSY)


def test_a_moment_is_no_load() -> None:
    cell = Cell(2)
    cell.passes(60, 20)
    for _ in range(20):
        assert cell.passes(GROW_AFTER_S - LOOK_EVERY_S, 200) == 2
        assert cell.passes(LOOK_EVERY_S, 20) == 2


@pytest.mark.parametrize("share", [IDLE, 0.5, BUSY])
def test_between_the_bounds_nothing_changes(share: float) -> None:
    cell = Cell(5)

    assert cell.passes(1000, int(share * 5 * PER_COPY)) == 5


def test_idle_copies_go_one_by_one_each_after_a_while() -> None:
    cell = Cell(4)
    assert cell.passes(SHRINK_AFTER_S, 2) == 4
    assert cell.passes(1, 2) == 3
    # It drains: only when it is gone the next may go.
    assert cell.passes(1000, 2) == 3
    cell.copies = 3
    assert cell.passes(SHRINK_AFTER_S, 2) == 3
    assert cell.passes(1, 2) == 2


def test_copies_that_never_came_are_not_waited_for_when_the_load_is_gone() -> None:
    cell = Cell(1)
    cell.wanted = 3

    assert cell.passes(SHRINK_AFTER_S + 1, 2) == 2
    assert cell.passes(SHRINK_AFTER_S + 1, 2) == 1
    assert cell.passes(1000, 2) == 1


def test_copies_that_the_rest_could_not_stand_in_for_stay() -> None:
    assert Cell(2).passes(1000, int(0.3 * 2 * PER_COPY)) == 2


def test_copies_at_rest_tell_nothing_wrong() -> None:
    cell = Cell(1)
    cell.passes(100, 0)

    assert cell.passes(5, 100) == 2
