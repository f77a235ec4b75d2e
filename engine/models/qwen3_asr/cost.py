"""What steps cost: floating-point operations, encoder frames, prefilled tokens, sequential steps.

Counted by formula from shapes, as matrix products (two operations a multiply-add); norms,
activations and softmax are left out. So figures of different ways to the same text compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from transformers import Qwen3ASRConfig

from engine.models.qwen3_asr.mel import SECOND_FRAMES


@dataclass(slots=True)
class Cost:
    """Running totals."""

    flops: int = 0
    encoder_frames: int = 0
    """Mel frames of the windows that went through the encoder's layers."""
    prefill_tokens: int = 0
    decode_steps: int = 0
    """Passes of the decoder after the prefill, whatever their batch."""
    decoded_tokens: int = 0
    """Tokens that went through them."""
    encode_s: float = 0.0
    """Seconds on spectra and encoder; on a GPU, of handing them the work."""
    reused_tokens: int = 0
    """Tokens whose keys and values were still in the pool."""
    evictions: int = 0
    """Segments whose pages were given to others."""

    def since(self, earlier: "Cost") -> "Cost":
        """The difference."""
        return Cost(
            *(getattr(self, each.name) - getattr(earlier, each.name) for each in fields(self))
        )


class CostMeter:
    """Counts for one model."""

    def __init__(self, config: Qwen3ASRConfig) -> None:
        audio: Any = config.audio_config
        text: Any = config.text_config
        self.total = Cost()
        self._second = _convolutions(audio)
        width = audio.d_model
        self._encoder_token = 2 * (
            audio.encoder_layers * (4 * width * width + 2 * width * audio.encoder_ffn_dim)
            + width * width
            + width * audio.output_dim
        )
        self._encoder_pair = 4 * audio.encoder_layers * width
        queries = text.num_attention_heads * text.head_dim
        shared = text.num_key_value_heads * text.head_dim
        hidden = text.hidden_size
        self._decoder_token = (
            2
            * text.num_hidden_layers
            * (2 * hidden * queries + 2 * hidden * shared + 3 * hidden * text.intermediate_size)
        )
        self._decoder_pair = 4 * text.num_hidden_layers * queries
        self._logits = 2 * hidden * text.vocab_size

    def took(self, encode_s: float) -> None:
        """Spectra and encoder had so many seconds."""
        self.total.encode_s += encode_s

    def reused(self, tokens: int) -> None:
        """The keys and values of so many tokens were there from an earlier step."""
        self.total.reused_tokens += tokens

    def evicted(self) -> None:
        """A segment's pages were given to others."""
        self.total.evictions += 1

    def listened(self, frames: int) -> None:
        """Windows of so many mel frames were encoded."""
        self.total.encoder_frames += frames

    def convolved(self, seconds: int) -> None:
        """So many seconds of spectrum went through the encoder's convolutions."""
        self.total.flops += seconds * self._second

    def attended(self, window_tokens: Sequence[int]) -> None:
        """Windows of so many tokens went through the encoder's layers and the projector."""
        self.total.flops += (
            sum(window_tokens) * self._encoder_token
            + sum(tokens * tokens for tokens in window_tokens) * self._encoder_pair
        )

    def decoded(self, rows: Sequence[tuple[int, int]], logits: int, *, prefill: bool) -> None:
        """One pass of the decoder; ``rows`` are (tokens before, new tokens)."""
        tokens = sum(new for _, new in rows)
        if prefill:
            self.total.prefill_tokens += tokens
        else:
            self.total.decode_steps += 1
            self.total.decoded_tokens += tokens
        pairs = sum(new * before + new * (new + 1) // 2 for before, new in rows)
        self.total.flops += (
            tokens * self._decoder_token + pairs * self._decoder_pair + logits * self._logits
        )

    def snapshot(self) -> Cost:
        """The totals now."""
        return self.total.since(Cost())


def _convolutions(audio: Any) -> int:
    """Operations for a second of mel frames: three halvings in both directions, and the joint."""
    channels: int = audio.downsample_hidden_size
    mels: int = audio.num_mel_bins
    frames, inward = SECOND_FRAMES, 1
    total = 0
    for _ in range(3):
        mels, frames = (mels + 1) // 2, (frames + 1) // 2
        total += 2 * 9 * inward * channels * mels * frames
        inward = channels
    total += 2 * frames * channels * mels * audio.d_model
    return int(total)
