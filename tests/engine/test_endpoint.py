"""When speech begins and ends, from the frames' probabilities alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.endpoint import ONSET, Endpointer

FRAME = 512
SPEECH, BETWEEN, SILENCE = 0.9, 0.4, 0.1

verdicts = st.lists(st.sampled_from([SPEECH, BETWEEN, SILENCE]), max_size=80)


def heard(*probabilities: float) -> Endpointer:
    ear = Endpointer(0.5)
    for probability in probabilities:
        ear.hear(probability, FRAME)
    return ear


def frames(probability: float, count: int) -> list[float]:
    return [probability] * count


def test_speech_begins_with_the_first_of_three_voiced_frames() -> None:
    ear = heard(SILENCE, SILENCE, SPEECH, SPEECH, SPEECH)

    assert ear.speaking
    assert ear.onset == 2 * FRAME


def test_two_voiced_frames_are_a_click() -> None:
    assert not heard(SILENCE, SPEECH, SPEECH).speaking
    assert not heard(*[SILENCE, SPEECH, SPEECH, SILENCE] * 20).speaking


def test_a_doubtful_frame_neither_begins_nor_breaks_an_onset() -> None:
    assert not heard(*frames(BETWEEN, 100)).speaking
    assert not heard(SPEECH, *frames(BETWEEN, 10), SPEECH).speaking
    ear = heard(BETWEEN, SPEECH, BETWEEN, SPEECH, BETWEEN, SPEECH)
    assert ear.speaking
    assert ear.onset == FRAME


def test_silence_is_counted_from_its_first_frame() -> None:
    ear = heard(*frames(SPEECH, 10), *frames(SILENCE, 4))

    assert ear.speaking
    assert ear.silence == 4 * FRAME
    assert ear.silence_start == 10 * FRAME


def test_doubtful_frames_prolong_what_was_before() -> None:
    assert heard(*frames(SPEECH, 10), *frames(BETWEEN, 50)).silence == 0
    assert heard(*frames(SPEECH, 10), SILENCE, *frames(BETWEEN, 4)).silence == 5 * FRAME


def test_speech_ends_silence() -> None:
    assert heard(*frames(SPEECH, 10), *frames(SILENCE, 9), SPEECH).silence == 0


def test_silence_before_speech_does_not_count() -> None:
    assert heard(*frames(SILENCE, 50)).silence == 0


def test_after_a_rest_speech_must_begin_anew() -> None:
    ear = heard(*frames(SPEECH, 10))
    ear.rest()
    ear.hear(SPEECH, FRAME)
    ear.hear(SPEECH, FRAME)
    assert not ear.speaking

    ear.hear(SPEECH, FRAME)
    assert ear.speaking
    assert ear.onset == 10 * FRAME


def test_a_rest_forgets_an_onset_that_was_under_way() -> None:
    ear = heard(SPEECH, SPEECH)
    ear.rest()
    ear.hear(SPEECH, FRAME)

    assert not ear.speaking


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_the_threshold_is_the_sessions(threshold: float) -> None:
    below, above = Endpointer(threshold), Endpointer(threshold)
    for _ in range(5):
        below.hear(threshold - 0.01, FRAME)
        above.hear(threshold, FRAME)

    assert above.speaking
    assert not below.speaking


@given(verdicts)
def test_the_clock_is_the_audio(probabilities: list[float]) -> None:
    assert heard(*probabilities).clock == len(probabilities) * FRAME


@given(verdicts)
def test_an_onset_never_lies_before_what_was_called_quiet(probabilities: list[float]) -> None:
    ear, quiet = Endpointer(0.5), 0
    for probability in probabilities:
        ear.hear(probability, FRAME)
        if ear.speaking:
            assert quiet <= ear.onset <= ear.clock - ONSET
            return
        assert quiet <= ear.quiet_since <= ear.clock
        quiet = ear.quiet_since


@given(verdicts)
def test_silence_holds_no_voiced_frame(probabilities: list[float]) -> None:
    ear = heard(*probabilities)

    if ear.silence:
        silent = probabilities[-(ear.silence // FRAME) :]
        assert silent[0] == SILENCE
        assert SPEECH not in silent


@given(st.lists(st.tuples(st.sampled_from([SPEECH, SILENCE]), st.integers(1, 512)), max_size=60))
def test_frames_may_have_any_length(probabilities: list[tuple[float, int]]) -> None:
    ear = Endpointer(0.5)
    run = 0
    for probability, samples in probabilities:
        was_speaking = ear.speaking
        run = run + samples if probability == SPEECH else 0
        ear.hear(probability, samples)
        assert ear.speaking is (was_speaking or run >= ONSET)
