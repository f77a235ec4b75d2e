"""Where in a clip each word of its transcript is: Qwen3's forced aligner, as transformers has it.

The prompt is the clip and its words with two markers behind each; one pass says of every marker in
which 80 ms it lies: the word's beginning, the word's end.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers.models.qwen3_asr.processing_qwen3_asr import (
    FORCED_ALIGNER_LANGUAGES,
    LANGUAGE_CODE_TO_NAME,
)

from engine.messages import SAMPLE_RATE, Audio, TimedWord, samples_to_ms
from engine.models.base import ModelOptions, ModelUnavailableError
from engine.models.qwen3_asr.checkpoint import ALIGNER, device_of, dtype_of, load

CLIPS_AT_ONCE = 32
"""Of 28 s and 5,000 classes a token each: 32 clips take half a GiB for that in bfloat16."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Prompt:
    """What the processor made of one clip and its text; on the CPU."""

    words: list[str]
    tokens: Tensor
    """Shape ``(tokens,)``."""
    mel: Tensor
    """Shape ``(bins, frames)``, padded to whole seconds."""
    mel_mask: Tensor
    """Shape ``(frames,)``; 0: padding."""
    samples: int


class Aligner:
    """Owns the aligner's weights. Stateless; not safe from several threads."""

    def __init__(self, name: str, options: ModelOptions) -> None:
        """
        Args:
            name: of a checkpoint on the hub, or its folder.
            options: device and arithmetic, as for the speech model beside it.

        Raises:
            ModelUnavailableError: it cannot be had or does not fit; the message says what to do.
        """
        self._name = name
        self._device = device_of(options.device)
        self._dtype = dtype_of(options.dtype, self._device)
        self._processor, model = load(name, ALIGNER, self._device, self._dtype)
        self._model: Any = model.train(False).requires_grad_(False)
        self._told: set[str | None] = set()
        """Languages of which it was logged that their words get no times."""

    @torch.inference_mode()
    def align(
        self, clips: Sequence[Audio], texts: Sequence[str], languages: Sequence[str | None]
    ) -> list[tuple[TimedWord, ...]]:
        """The words of each text with their times in its clip, without punctuation.

        Times lie within the clip and never go back. What a clip gets does not depend on the others.

        Args:
            clips: shape ``(n,)`` each, at 16 kHz.
            texts: what is said in them.
            languages: their codes; None: not known. Of a language that the aligner does not know,
                or for which a package is missing, there are no words.
        """
        found: list[tuple[TimedWord, ...]] = [()] * len(clips)
        prompts = [self._prompt(*each) for each in zip(clips, texts, languages, strict=True)]
        ready = [(i, prompt) for i, prompt in enumerate(prompts) if prompt is not None]
        for at in range(0, len(ready), CLIPS_AT_ONCE):
            part = ready[at : at + CLIPS_AT_ONCE]
            timed = self._times([prompt for _, prompt in part])
            for (i, _), words in zip(part, timed, strict=True):
                found[i] = words
        return found

    def check(self) -> None:
        """Aligns made-up audio, which also warms up.

        Raises:
            ModelUnavailableError: the checkpoint's parts do not fit together.
        """
        noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
        try:
            self.align([noise], ["one two"], ["en"])
        except (IndexError, KeyError, RuntimeError, ValueError) as error:
            reason = str(error).split("\n")[0].rstrip(".")
            raise ModelUnavailableError(
                f"{self._name} cannot align words ({reason}); give a whole {ALIGNER.name} "
                f"checkpoint, such as {ALIGNER.example}"
            ) from error

    def _prompt(self, clip: Audio, text: str, language: str | None) -> _Prompt | None:
        """None: there is nothing to align, or no way to."""
        if not text.strip() or not len(clip):
            return None
        if language and LANGUAGE_CODE_TO_NAME.get(language) not in FORCED_ALIGNER_LANGUAGES:
            self._tell(language, "the aligner does not know the language")
            return None
        # Each clip by itself: beside a longer one its last frames would be others.
        try:
            inputs, [words] = self._processor.prepare_forced_aligner_inputs(
                audio=[clip], transcript=[text], language=[language] if language else None
            )
        except ImportError as error:  # Japanese and Korean are parted into words by packages
            self._tell(language, str(error))
            return None
        if not words:
            return None
        return _Prompt(
            words,
            inputs["input_ids"][0],
            inputs["input_features"][0],
            inputs["input_features_mask"][0],
            len(clip),
        )

    def _tell(self, language: str | None, reason: str) -> None:
        if language not in self._told:
            self._told.add(language)
            log.warning("no word times for language %s: %s", language, reason)

    def _times(self, prompts: Sequence[_Prompt]) -> list[tuple[TimedWord, ...]]:
        """One pass over all of them."""
        tokens, mask = _stacked([p.tokens for p in prompts], self._processor.tokenizer.pad_token_id)
        mel, _ = _stacked([p.mel for p in prompts], 0)
        mel_mask, _ = _stacked([p.mel_mask for p in prompts], 0)
        logits = self._model(
            input_ids=tokens.to(self._device),
            attention_mask=mask.to(self._device),
            input_features=mel.to(self._device, self._dtype),
            input_features_mask=mel_mask.to(self._device),
            use_cache=False,
        ).logits
        decoded = self._processor.decode_forced_alignment(
            logits.cpu(),
            tokens,
            [prompt.words for prompt in prompts],
            self._model.config.timestamp_token_id,
        )
        return [_within(*each) for each in zip(decoded, prompts, strict=True)]


def _within(decoded: list[dict[str, Any]], prompt: _Prompt) -> tuple[TimedWord, ...]:
    """Classes go on for minutes behind the clip; words do not."""
    end_ms = samples_to_ms(prompt.samples)
    return tuple(
        TimedWord(
            word["text"],
            min(round(word["start_time"] * 1000), end_ms),
            min(round(word["end_time"] * 1000), end_ms),
        )
        for word in decoded
    )


def _stacked(rows: Sequence[Tensor], filler: int) -> tuple[Tensor, Tensor]:
    """Rows of shape ``(…, n)`` as one tensor, filled up behind, and 1 where nothing was filled.

    Behind: the decoder is causal, so that a row does not see it, and its positions stay.
    """
    longest = max(row.shape[-1] for row in rows)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for i, row in enumerate(rows):
        mask[i, : row.shape[-1]] = 1
    return torch.stack([pad(row, (0, longest - row.shape[-1]), value=filler) for row in rows]), mask
