"""The audio encoder over windows of many segments at a time."""

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
class EncodedWindow:
    """A complete window's place in the decoder's prompt, and for which floor it holds."""

    embeddings: Tensor
    """Shape ``(104, decoder width)``."""
    floor: float
    quietest: float
    """The smallest un-floored mel value of the window."""

    def holds_for(self, floor: float) -> bool:
        """Whether the window's floored frames are the same with another floor."""
        return floor == self.floor or max(floor, self.floor) <= self.quietest


class WindowEncoder:
    """transformers' encoder and projector; windows are packed by whole seconds, without padding."""

    def __init__(self, model: Qwen3ASRForConditionalGeneration, meter: CostMeter) -> None:
        self._tower = model.model.audio_tower
        self._projector = model.model.multi_modal_projector
        self._tower.config._attn_implementation = WINDOWED
        self._dtype = next(self._tower.parameters()).dtype
        self._meter = meter

    def encode(self, windows: Sequence[Tensor]) -> list[Tensor]:
        """Embeddings of floored mels.

        Args:
            windows: shape ``(mels, frames)`` each, at most 800 frames.

        Returns:
            For each shape ``(tokens, decoder width)``.
        """
        found: list[Tensor] = []
        batch: list[Tensor] = []
        seconds = 0
        for window in windows:
            length = -(-window.shape[1] // SECOND_FRAMES)
            if batch and seconds + length > MOST_SECONDS:
                found += self._pass(batch)
                batch, seconds = [], 0
            batch.append(window)
            seconds += length
        return found + self._pass(batch) if batch else found

    def _pass(self, windows: Sequence[Tensor]) -> list[Tensor]:
        frames = [window.shape[1] for window in windows]
        tokens = [encoder_tokens(count) for count in frames]
        padded = [F.pad(window, (0, -window.shape[1] % SECOND_FRAMES)) for window in windows]
        # (mels, seconds × 100) to (seconds, mels, 100): the convolutions see a second at a time.
        features = torch.cat([each.view(len(each), -1, SECOND_FRAMES) for each in padded], dim=1)
        mask = torch.cat(
            [F.pad(torch.ones(count), (0, -count % SECOND_FRAMES)) for count in frames]
        ).view(-1, SECOND_FRAMES)
        out = self._tower(
            input_features=features.transpose(0, 1).to(self._dtype),
            input_features_mask=mask.long().to(features.device),
            cu_seqlens=torch.tensor([0, sum(tokens)], dtype=torch.int32),
            max_seqlen=max(tokens),
            window_tokens=tokens,
        ).last_hidden_state
        self._meter.encoded(tokens, sum(frames))
        return list(self._projector(out).split(tokens))
