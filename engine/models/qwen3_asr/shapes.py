"""Configurations of Qwen3-ASR by size, for weights that are drawn at random.

Where the values are from:

- ``0.6b``: ``thinker_config`` of the ``config.json`` of ``Qwen/Qwen3-ASR-0.6B`` (a copy is in the
  GitHub repository zhangxu1978/ASR), flattened as transformers' ``convert_qwen3_asr_to_hf.py`` does
  for ``Qwen/Qwen3-ASR-0.6B-hf``. The rope's three sections fall away there: they tell apart
  dimensions of pictures, and audio has one.
- ``1.7b``: the defaults of transformers' ``configuration_qwen3_asr.py``, which names
  ``Qwen/Qwen3-ASR-1.7B-hf`` as their origin; MODEL.md of antirez/qwen-asr has the same numbers.
- ``quarter`` and ``tiny`` are ours.
"""

from dataclasses import dataclass

from transformers import Qwen3ASRConfig


@dataclass(frozen=True, slots=True)
class Shapes:
    """What differs between the sizes. All else is as published for both.

    Widths are those of the residual streams; ``decoder_head_width`` is free of ``decoder_width``.
    """

    encoder_width: int
    encoder_layers: int
    encoder_heads: int
    encoder_feed_forward: int
    convolution_channels: int
    decoder_width: int
    decoder_layers: int
    decoder_heads: int
    decoder_key_value_heads: int
    decoder_head_width: int
    decoder_feed_forward: int
    vocabulary: int = 151_936


PUBLISHED_CONVOLUTION_CHANNELS = 480
"""``downsample_hidden_size``, in both sizes."""

SHAPES = {
    # Small enough for a unit test. The vocabulary stays whole in all sizes, so that the published
    # ids of the special tokens fit.
    "tiny": Shapes(64, 2, 2, 128, 16, 64, 2, 4, 2, 32, 128),
    # Every width of the 0.6B halved, its depth and heads' widths kept: a quarter of the weights
    # that each token passes. Only attention scores and logits cost half.
    "quarter": Shapes(448, 18, 7, 1792, 240, 512, 28, 8, 4, 128, 1536),
    "0.6b": Shapes(896, 18, 14, 3584, PUBLISHED_CONVOLUTION_CHANNELS, 1024, 28, 16, 8, 128, 3072),
    "1.7b": Shapes(1024, 24, 16, 4096, PUBLISHED_CONVOLUTION_CHANNELS, 2048, 28, 16, 8, 128, 6144),
}


def config_of(size: str) -> Qwen3ASRConfig:
    """The configuration of a size: ``tiny``, ``quarter``, ``0.6b`` or ``1.7b``.

    Raises:
        ValueError: There is no such size.
    """
    if size not in SHAPES:
        raise ValueError(f"There is no size {size!r}; sizes are {', '.join(SHAPES)}.")
    return config_from(SHAPES[size])


def config_from(shapes: Shapes) -> Qwen3ASRConfig:
    """A Qwen3-ASR of these shapes; windows, mel bins, norms and rope are the published ones."""
    return Qwen3ASRConfig(
        audio_config={
            "model_type": "qwen3_asr_encoder",
            "num_mel_bins": 128,
            "encoder_layers": shapes.encoder_layers,
            "encoder_attention_heads": shapes.encoder_heads,
            "encoder_ffn_dim": shapes.encoder_feed_forward,
            "d_model": shapes.encoder_width,
            "activation_function": "gelu",
            "n_window": 50,
            "n_window_infer": 800,
            "downsample_hidden_size": shapes.convolution_channels,
            "max_position_embeddings": 13,
            "output_dim": shapes.decoder_width,
        },
        text_config={
            "model_type": "qwen3",
            "vocab_size": shapes.vocabulary,
            "hidden_size": shapes.decoder_width,
            "intermediate_size": shapes.decoder_feed_forward,
            "num_hidden_layers": shapes.decoder_layers,
            "num_attention_heads": shapes.decoder_heads,
            "num_key_value_heads": shapes.decoder_key_value_heads,
            "head_dim": shapes.decoder_head_width,
            "hidden_act": "silu",
            "max_position_embeddings": 65_536,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0},
            "attention_bias": False,
            "tie_word_embeddings": True,
        },
        tie_word_embeddings=True,
    )
