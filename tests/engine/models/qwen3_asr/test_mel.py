"""Spectra that grow are those of the whole clip."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Qwen3ASRFeatureExtractor

from engine.messages import Audio
from engine.models.qwen3_asr.mel import LogMel, Spectra, encoder_tokens
from tests.engine.models.qwen3_asr.reference import sounds, two_cities

EXTRACTOR = Qwen3ASRFeatureExtractor()
SOUNDS = sounds(two_cities())
ROUNDING = {"rtol": 0.0, "atol": 1e-5}
"""A matrix product of another shape adds up in another order, where frames are very quiet."""


def of_the_whole(clip: Audio) -> torch.Tensor:
    found = EXTRACTOR(
        clip, sampling_rate=16_000, padding=True, n_window=0, return_attention_mask=True
    )
    features = found["input_features"][0]
    assert isinstance(features, torch.Tensor)
    return features


def floored(found: Spectra) -> torch.Tensor:
    seconds = range(-(-len(found.frames) // 100))
    return torch.cat([found.second(second) for second in seconds], dim=1)


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(sorted(SOUNDS)),
    lengths=st.lists(st.integers(160, 28 * 16_000), min_size=1, max_size=6),
    shrink=st.integers(0, 20_000),
)
def test_grown_in_any_steps_they_equal_the_extractors(
    name: str, lengths: list[int], shrink: int
) -> None:
    """A final may also end before the last partial did."""
    mel = LogMel(EXTRACTOR, torch.device("cpu"))
    state = mel.new_state()
    for length in [*sorted(lengths), max(160, max(lengths) - shrink)]:
        clip = SOUNDS[name][:length]
        [found] = mel.advance([clip], [state])
        assert torch.allclose(floored(found), of_the_whole(clip), **ROUNDING), length


def test_clips_of_unequal_length_go_together() -> None:
    mel = LogMel(EXTRACTOR, torch.device("cpu"))
    clips = [SOUNDS["speech"][:n] for n in (300, 8000, 40_000, 200_123)]
    states = [mel.new_state() for _ in clips]

    for clip, found in zip(clips, mel.advance(clips, states), strict=True):
        assert torch.allclose(floored(found), of_the_whole(clip), **ROUNDING)


def test_little_is_computed_again() -> None:
    mel = LogMel(EXTRACTOR, torch.device("cpu"))
    state = mel.new_state()
    mel.advance([SOUNDS["speech"][:160_000]], [state])

    assert 1000 - len(state.settled) <= 2


@pytest.mark.parametrize("frames", [1, 2, 7, 8, 9, 50, 99, 100, 101, 799, 800, 1234, 2800])
def test_token_counts_are_the_processors(frames: int) -> None:
    from transformers.models.qwen3_asr.modeling_qwen3_asr import _get_feat_extract_output_lengths

    assert encoder_tokens(frames) == int(_get_feat_extract_output_lengths(torch.tensor(frames)))


def test_a_clip_of_nothing_but_zeros() -> None:
    mel = LogMel(EXTRACTOR, torch.device("cpu"))
    [found] = mel.advance([np.zeros(16_000, np.float32)], [mel.new_state()])

    assert torch.equal(found.second(0), of_the_whole(np.zeros(16_000, np.float32)))
