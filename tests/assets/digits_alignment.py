"""Guided attention: in training, one head of a layer is told where each word is in the audio.

After Tachibana et al., "Efficiently trainable text-to-speech system based on deep convolutional
networks with guided attention" (arXiv 1710.08969), with the words' own times instead of a diagonal.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tests.assets.digits_clips import Clip
from tests.assets.speech_synthesis import SAMPLE_RATE

_HEAD = 0
_TOKENS_PER_S = 13
"""Audio tokens of a whole second: the encoder's convolutions, eight frames of 10 ms a token."""
_SAMPLES_PER_TOKEN = 1_280
_LONGEST_WORD_S = 1.0
_LATE_TOKENS = 2
"""A word may be known best a little behind its end."""


class AttentionToWords:
    """Collects the attention weights of layers as they run, and compares them with word times."""

    def __init__(self, tokenizer: Any, layers: Iterable[Any]) -> None:
        self._tokenizer = tokenizer
        self._weights: list[Tensor] = []
        for layer in layers:
            layer.self_attn.register_forward_hook(self._collect)

    def loss(self, clips: Sequence[Clip], answers: Sequence[str], first_audio: Tensor) -> Tensor:
        """Minus the logarithm of the attention that falls on the word to be written next.

        Args:
            clips: Those of the last forward pass.
            answers: What the model writes for each; its rows end with them.
            first_audio: [batch], the first audio position of each row.
        """
        weights = torch.stack(self._weights)[:, :, _HEAD]  # [layers, batch, queries, keys]
        self._weights.clear()
        length = weights.shape[-1]
        rows, queries, spans = [], [], []
        for row, (clip, answer) in enumerate(zip(clips, answers, strict=True)):
            words = self._word_of_each_token(clip, answer)
            for index, word in enumerate(words):
                if word is not None:
                    rows.append(row)
                    queries.append(length - len(words) + index - 1)  # written by the one before
                    spans.append(_span(clip.ends, word))
        if not rows:
            return weights.new_zeros(())
        places = torch.arange(length)
        begins, ends = torch.tensor(spans).T[..., None] + first_audio[rows, None]
        inside = (places >= begins) & (places < ends)
        attended = (weights[:, rows, queries] * inside).sum(-1)
        return -(attended + 1e-6).log().mean()

    def _word_of_each_token(self, clip: Clip, answer: str) -> list[int | None]:
        """The index of the word that each token of the answer belongs to, if any."""
        owner: list[int | None] = [None] * len(answer)
        position = answer.index("<asr_text>") + len("<asr_text>")
        for index, word in enumerate(clip.words):
            position = answer.index(word, position) + len(word)
            owner[position - len(word) : position] = [index] * len(word)
        offsets = self._tokenizer(answer, return_offsets_mapping=True)["offset_mapping"]
        return [owner[end - 1] for _, end in offsets]

    def _collect(self, _: nn.Module, __: Any, output: tuple[Tensor, Tensor | None]) -> None:
        if torch.is_grad_enabled() and output[1] is not None:
            self._weights.append(output[1])


def _span(ends: Sequence[int], word: int) -> tuple[int, int]:
    """The audio tokens, from and to, in which a word is heard."""
    end = ends[word]
    begin = max(ends[word - 1] if word else 0, end - int(_LONGEST_WORD_S * SAMPLE_RATE))
    return _token_at(begin), _token_at(end) + 1 + _LATE_TOKENS


def _token_at(sample: int) -> int:
    seconds, rest = divmod(sample, SAMPLE_RATE)
    return seconds * _TOKENS_PER_S + rest // _SAMPLES_PER_TOKEN
