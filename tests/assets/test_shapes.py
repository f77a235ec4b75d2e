"""The published sizes, by what is known of them."""

from typing import Any

import pytest
import torch
from transformers import Qwen3ASRForConditionalGeneration

from engine.models.qwen3_asr.shapes import SHAPES, config_of


def weights_of(size: str) -> tuple[int, int]:
    """How many weights a model of this size has: encoder with projector, and language model."""
    with torch.device("meta"):
        model = Qwen3ASRForConditionalGeneration(config_of(size)).model
    language = sum(weight.numel() for weight in model.language_model.parameters())
    return sum(weight.numel() for weight in model.parameters()) - language, language


@pytest.mark.parametrize(
    ("size", "encoder", "language"),
    [
        # The paper gives 180 M and 300 M for the encoders; Qwen3-0.6B and 1.7B are the decoders.
        ("0.6b", pytest.approx(180e6, rel=0.05), 596_049_920),
        ("1.7b", pytest.approx(300e6, rel=0.08), 1_720_574_976),
    ],
)
def test_published_sizes_have_the_published_numbers_of_weights(
    size: str, encoder: int, language: int
) -> None:
    assert weights_of(size) == (encoder, language)


def test_a_quarter_has_a_quarter_of_the_weights_that_each_token_passes() -> None:
    vocabulary = SHAPES["0.6b"].vocabulary
    encoder, language = weights_of("quarter")
    whole_encoder, whole_language = weights_of("0.6b")

    passed = encoder + language - vocabulary * SHAPES["quarter"].decoder_width
    whole = whole_encoder + whole_language - vocabulary * SHAPES["0.6b"].decoder_width
    assert passed / whole == pytest.approx(0.25, rel=0.01)


@pytest.mark.parametrize("size", SHAPES)
def test_every_size_has_the_windows_of_the_real_encoder_and_room_for_the_special_tokens(
    size: str,
) -> None:
    config: Any = config_of(size)

    audio = config.audio_config
    assert (audio.num_mel_bins, audio.n_window, audio.n_window_infer) == (128, 50, 800)
    assert audio.max_position_embeddings == 13
    assert audio.output_dim == config.text_config.hidden_size
    assert config.text_config.num_attention_heads == 2 * config.text_config.num_key_value_heads
    assert config.text_config.tie_word_embeddings
    assert config.timestamp_token_id < config.text_config.vocab_size


def test_an_unknown_size_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"no size '9b'; sizes are tiny, quarter, 0\.6b, 1\.7b"):
        config_of("9b")
