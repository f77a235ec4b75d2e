"""Greedy decoding with drafts: whatever is proposed, what is written is what the model says."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.models.greedy import Greedy

END = 99
tokens = st.integers(0, 9)


def run(said: Sequence[int], forced: Sequence[int], draft: Sequence[int], budget: int) -> Greedy:
    """A model that continues ``forced`` with ``said`` and an end, as long as it is followed."""
    whole = [*forced, *said, END]

    def after(held: list[int]) -> int:
        return whole[len(held)] if held == whole[: len(held)] else 7

    state = Greedy(forced, draft, budget, {END})
    while state.stop is None:
        proposal, held = state.proposal(), list(state.tokens)
        best = [after([*held, *proposal[:i]]) for i in range(len(proposal) + 1)]
        state.decide(proposal, best, [-0.5] * len(best))
    return state


@given(st.lists(tokens, max_size=12), st.lists(tokens, max_size=4), st.lists(tokens, max_size=12))
def test_a_draft_never_changes_what_is_written(
    said: list[int], forced: list[int], draft: list[int]
) -> None:
    """P4."""
    free, drafted = run(said, forced, (), 100), run(said, forced, draft, 100)

    assert drafted.tokens == free.tokens
    assert drafted.stop == free.stop
    assert drafted.passes <= free.passes
    assert drafted.confidence == pytest.approx(free.confidence)


def test_a_right_draft_takes_one_pass() -> None:
    done = run([1, 2, 3, 4], [9], [1, 2, 3, 4], 100)

    assert (done.passes, done.accepted, done.stop) == (1, 4, "eos")


def test_the_budget_counts_forced_tokens() -> None:
    done = run([1, 2, 3, 4, 5, 6], [8, 8], (), 5)

    assert done.tokens == [8, 8, 1, 2, 3]
    assert done.stop == "budget"


@pytest.mark.parametrize("turn", [[5], [1, 2, 3]])
def test_a_runaway_repetition_ends_the_step_and_is_cut_to_its_first_turn(turn: list[int]) -> None:
    done = run(turn * 40, [8], (), 1000)

    assert done.stop == "repetition"
    assert done.tokens == [8, *turn]
