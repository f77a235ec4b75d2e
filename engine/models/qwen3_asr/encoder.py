"""The audio encoder in its two halves, over pieces of many segments at a time.

They are the two halves of transformers' `Qwen3ASREncoder.forward`, with its modules: convolutions
see one second of spectrum at a time, attention the whole of a window. What the first half found of
a second is the same in each later step, so it is worth keeping apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Qwen3ASRForConditionalGeneration

from engine.models.qwen3_asr.cost import CostMeter
from engine.models.qwen3_asr.kv import WINDOWED
from engine.models.qwen3_asr.mel import SECOND_FRAMES, encoder_tokens

MOST_SECONDS = 512
"""Seconds of audio in one pass: the convolutions' intermediate results are 3 MB a second."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What a half of the encoder made of a stretch of spectrum, and for which floor it holds."""

    states: Tensor
    """Shape ``(tokens, width)``."""
    floor: float
    quietest: float
    """The smallest un-floored mel value of the stretch."""

    def holds_for(self, floor: float) -> bool:
        """Whether the stretch's floored frames are the same with another floor."""
        return floor == self.floor or max(floor, self.floor) <= self.quietest


class Encoder:
    """transformers' encoder and projector; windows are packed, without padding."""

    def __init__(self, model: Qwen3ASRForConditionalGeneration, meter: CostMeter) -> None:
        self._tower = model.model.audio_tower
        self._projector = model.model.multi_modal_projector
        self._tower.config._attn_implementation = WINDOWED
        self._dtype = next(self._tower.parameters()).dtype
        self._meter = meter

    def convolve(self, seconds: Sequence[Tensor]) -> list[Tensor]:
        """The first half.

        Args:
            seconds: floored spectra, shape ``(mels, frames ≤ 100)`` each.

        Returns:
            For each shape ``(tokens ≤ 13, encoder width)``.
        """
        found: list[Tensor] = []
        for at in range(0, len(seconds), MOST_SECONDS):
            found += self._convolve(seconds[at : at + MOST_SECONDS])
        return found

    def _convolve(self, seconds: Sequence[Tensor]) -> list[Tensor]:
        padded = [F.pad(second, (0, SECOND_FRAMES - second.shape[1])) for second in seconds]
        hidden = torch.stack(padded)[:, None].to(self._dtype)
        tower = self._tower
        for convolution in (tower.conv2d1, tower.conv2d2, tower.conv2d3):
            hidden = F.gelu(convolution(hidden))
        hidden = tower.conv_out(hidden.permute(0, 3, 1, 2).flatten(2))
        hidden = hidden + tower.positional_embedding.positional_embedding.to(self._dtype)
        self._meter.convolved(len(seconds))
        return [
            states[: encoder_tokens(second.shape[1])]
            for states, second in zip(hidden, seconds, strict=True)
        ]

    def attend(self, windows: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """The second half.

        Args:
            windows: what `convolve` found of each one's seconds, at most eight.

        Returns:
            For each shape ``(tokens, decoder width)``.
        """
        found: list[Tensor] = []
        batch: list[Sequence[Tensor]] = []
        for window in windows:
            if sum(map(len, batch)) + len(window) > MOST_SECONDS:
                found += self._attend(batch)
                batch = []
            batch.append(window)
        return found + self._attend(batch) if batch else found

    def _attend(self, windows: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        tokens = [sum(map(len, seconds)) for seconds in windows]
        hidden = torch.cat([second for seconds in windows for second in seconds])
        whole = torch.tensor([0, len(hidden)], dtype=torch.int32)  # `window_tokens` says the rest
        for layer in self._tower.layers:
            hidden = layer(hidden, whole, max_seqlen=max(tokens), window_tokens=tokens)[0]
        self._meter.attended(tokens)
        return list(self._projector(self._tower.ln_post(hidden)).split(tokens))
