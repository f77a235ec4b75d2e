"""Audio of any rate becomes 16 kHz, in time where the time matters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.resampling import Resampler

RATES = [8000, 11_025, 22_050, 44_100, 47_999, 48_000, 96_000]
pieces = st.lists(st.integers(1, 9000), min_size=1, max_size=12)


def noise(frames: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(frames).normal(0, 0.2, frames).astype(np.float32)


def resampled(rate: int, sizes: list[int], settled: set[int]) -> list[np.ndarray]:  # type: ignore[type-arg]
    """What each piece gave, with what settling behind some of them gave."""
    resampler, sound = Resampler(rate), noise(sum(sizes))
    given, at = [], 0
    for each, size in enumerate(sizes):
        given.append(resampler.resample(sound[at : at + size]))
        at += size
        if each in settled:
            given[-1] = np.concatenate((given[-1], resampler.settle()))
    return [*given, resampler.flush()]


@given(st.sampled_from(RATES), pieces, st.sets(st.integers(0, 11)))
def test_settled_means_all_that_came_in_was_given_out(
    rate: int, sizes: list[int], settled: set[int]
) -> None:
    given = resampled(rate, sizes, settled)

    for each in settled & set(range(len(sizes))):
        out, came = sum(map(len, given[: each + 1])), sum(sizes[: each + 1])
        assert abs(out - came * 16_000 / rate) <= 0.5


@given(st.sampled_from(RATES), pieces, st.sets(st.integers(0, 11)))
def test_it_changes_nothing_but_the_milliseconds_before(
    rate: int, sizes: list[int], settled: set[int]
) -> None:
    plain = np.concatenate(resampled(rate, sizes, set()))
    given = resampled(rate, sizes, settled)
    whole = np.concatenate(given)

    shaped = np.zeros(len(plain), bool)
    for each in settled & set(range(len(sizes))):
        end = sum(map(len, given[: each + 1]))
        shaped[max(0, end - 16 * 20) : end] = True  # the filter's reach
    assert len(whole) == len(plain)
    np.testing.assert_allclose(whole[~shaped], plain[~shaped], atol=1e-5)
    np.testing.assert_allclose(whole, np.clip(plain, -1, 1), atol=1)


@pytest.mark.parametrize("rate", RATES)
def test_a_tone_that_goes_on_is_unbroken(rate: int) -> None:
    """Even the milliseconds before are nearly what they would be."""
    sound = 0.5 * np.sin(2 * np.pi * 300 * np.arange(rate) / rate).astype(np.float32)
    resampler = Resampler(rate)
    half = rate // 2
    given = [resampler.resample(sound[:half]), resampler.settle(), resampler.settle()]
    given += [resampler.resample(sound[half:]), resampler.flush()]

    expected = 0.5 * np.sin(2 * np.pi * 300 * np.arange(16_000) / 16_000)
    error = np.abs(np.concatenate(given) - expected)[400:-400]
    before = slice(8000 - 400 - 16 * 20, 8000 - 400)
    assert np.delete(error, before).max() < 1e-3
    assert error[before][: 16 * 10].max() < 0.01


def test_at_the_engines_own_rate_nothing_is_held() -> None:
    resampler, sound = Resampler(16_000), noise(100)

    assert resampler.resample(sound) is sound
    assert len(resampler.settle()) == len(resampler.flush()) == 0
