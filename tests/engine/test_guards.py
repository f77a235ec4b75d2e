"""When a model is not believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.guards import low_evidence, repetition_start, token_budget
from engine.messages import StepResult

SPEECH = 16_000


@given(
    head=st.lists(st.integers(100, 200), max_size=20, unique=True),
    period=st.lists(st.integers(0, 99), min_size=1, max_size=16, unique=True),
    times=st.integers(4, 10),
)
def test_a_runaway_is_cut_behind_its_first_occurrence(
    head: list[int], period: list[int], times: int
) -> None:
    tokens = head + period * times
    runs_away = len(period) * times >= 16

    expected = len(head) + len(period) if runs_away else None
    assert repetition_start(tokens) == expected


@given(st.integers(1, 16), st.data())
def test_a_runaway_is_cut_also_in_the_middle_of_its_last_occurrence(
    period: int, data: st.DataObject
) -> None:
    extra = data.draw(st.integers(0, period - 1))
    tokens = [100, 101, *(list(range(period)) * 16)[: 16 * period - extra]]

    assert repetition_start(tokens) == 2 + period


@pytest.mark.parametrize(
    "tokens",
    [
        [],
        [1],
        [1] * 15,
        [1, 2, 3] * 4,
        [*range(10)] * 3,
        [*range(17)] * 8,
        [*([1] * 40), 2],
    ],
)
def test_people_do_repeat_themselves(tokens: list[int]) -> None:
    assert repetition_start(tokens) is None


@given(st.lists(st.integers(0, 2), max_size=80))
def test_what_is_left_after_a_cut_is_no_runaway_of_the_same_period(tokens: list[int]) -> None:
    start = repetition_start(tokens)

    if start is not None:
        cut = len(tokens) - start
        assert 0 < start < len(tokens)
        assert any(tokens[start:] == tokens[start - p : len(tokens) - p] for p in range(1, 17)), (
            "only what repeats is cut"
        )
        assert cut >= 12


def test_a_step_has_a_budget_from_its_audio() -> None:
    assert token_budget(0, 6.5) == 8
    assert token_budget(10 * 16_000, 6.5) == 65 + 8
    assert token_budget(10 * 16_000, 6.5, spare=0) == 65


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0.1, 30))
def test_more_audio_never_has_a_smaller_budget(a: int, b: int, rate: float) -> None:
    assert token_budget(a, rate) <= token_budget(a + b, rate)


def result(confidence: float, *tokens: int) -> StepResult:
    return StepResult(tokens, (b" a",) * len(tokens), "eos", "en", confidence)


def test_text_needs_speech_and_confidence() -> None:
    assert not low_evidence(result(0.9, 1), SPEECH, 0.3)
    assert not low_evidence(result(0.3, 1), SPEECH, 0.3)
    assert low_evidence(result(0.29, 1), SPEECH, 0.3)
    assert low_evidence(result(0.9, 1), 1535, 0.3)
    assert not low_evidence(result(0.9, 1), 1536, 0.3)


def test_a_model_without_a_bound_is_believed_in_speech() -> None:
    assert not low_evidence(result(0.0, 1), SPEECH, 0.0)


def test_no_text_needs_no_evidence() -> None:
    assert not low_evidence(result(0.0), 0, 0.3)
