"""Where a session goes on that another process lost: from the checkpoint, or behind a gap."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.checkpoint import Checkpoint
from engine.messages import SAMPLE_RATE
from engine.vad import VadState
from gateway.audio import PcmDecoder
from gateway.continuing import begin_at, replay_from
from gateway.wire.resuming import ResumePoint

CHECKPOINT = Checkpoint(
    VadState().tobytes(), at=80_000, start=80_000, segments=4, finalizes=2, tail="."
)
POINT = ResumePoint("s" * 32, "secret", epoch=1, checkpoint=CHECKPOINT, last_segment=5)
rates = st.sampled_from([8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])


@given(rates, st.integers(0, 10**7))
def test_a_replay_begins_before_what_is_needed_where_samples_of_both_rates_meet(
    rate: int, needed: int
) -> None:
    at = replay_from(needed, rate)

    assert at * SAMPLE_RATE % rate == 0
    assert 0 <= needed - at * SAMPLE_RATE // rate <= 0.15 * SAMPLE_RATE


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
def test_what_is_resampled_again_from_there_is_what_it_was(rate: int) -> None:
    sound = np.random.default_rng(0).normal(0, 3000, rate * 2).astype("<i2")
    needed = SAMPLE_RATE
    at = replay_from(needed, rate)
    whole = resampled(sound, rate)

    again = resampled(sound[at:], rate)[needed - at * SAMPLE_RATE // rate :]

    np.testing.assert_allclose(again, whole[needed : needed + len(again)], atol=1e-4)


def resampled(sound: np.ndarray, rate: int) -> np.ndarray:  # type: ignore[type-arg]
    decoder = PcmDecoder("pcm_s16le", rate, 1)
    return np.concatenate((decoder.decode(sound.tobytes()), decoder.flush()))


@pytest.mark.parametrize("kept", [None, 0, 80_000])
def test_what_is_needed_is_asked_for_whatever_more_is_there(kept: int | None) -> None:
    beginning = begin_at(replace(POINT, from_sample=kept), SAMPLE_RATE)

    assert beginning.checkpoint == CHECKPOINT
    assert (beginning.start, beginning.next_sample, beginning.seen) == (80_000, 80_000, 5)
    assert beginning.gap_ms is None


def test_what_nobody_has_is_a_gap_and_the_counts_run_on() -> None:
    beginning = begin_at(replace(POINT, from_sample=48_000 * 6), 48_000)

    assert beginning.gap_ms == (5000, 6000)
    assert (beginning.start, beginning.next_sample) == (96_000, 288_000)
    after = beginning.checkpoint
    assert (after.segments, after.finalizes, after.tail) == (5, 2, ".")
    assert after.at == after.start == after.floor == 96_000


def test_without_a_checkpoint_it_goes_on_behind_the_last_final() -> None:
    beginning = begin_at(replace(POINT, checkpoint=None, from_sample=32_000), SAMPLE_RATE)

    assert (beginning.start, beginning.checkpoint.segments) == (32_000, 5)
    assert beginning.gap_ms is None


def test_without_any_final_all_before_is_lost() -> None:
    fresh = replace(POINT, checkpoint=None, last_segment=0, from_sample=32_000)

    assert begin_at(fresh, SAMPLE_RATE).gap_ms == (0, 2000)


@pytest.mark.parametrize("kept", [None, 0])
def test_who_still_has_all_begins_again_and_is_not_told_twice(kept: int | None) -> None:
    beginning = begin_at(replace(POINT, checkpoint=None, from_sample=kept), SAMPLE_RATE)

    assert (beginning.start, beginning.checkpoint.segments, beginning.seen) == (0, 0, 5)
    assert beginning.gap_ms is None
