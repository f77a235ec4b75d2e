"""What transformers' own ``generate`` says: everything again, uncached, alone in its batch."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from transformers import (
    Qwen3ASRFeatureExtractor,
    Qwen3ASRForConditionalGeneration,
    Qwen3ASRProcessor,
)

from engine.messages import Audio, SegmentKey
from engine.models.qwen3_asr.incremental import Request, Reuse, Transcriber
from engine.models.qwen3_asr.mel import encoder_tokens
from engine.models.qwen3_asr.shapes import SHAPES, config_from
from tests.assets.digits_checkpoint import CHECKPOINT, end_tokens, prompt
from tests.assets.digits_evaluation import long_sample
from tests.assets.digits_speech import UNSEEN_VOICES

HEAD, TAIL = tuple(range(100, 110)), tuple(range(200, 206))
VOCABULARY = 3000
NEW_TOKENS = 12
"""More than the repetition guard would cut short more often than not."""


@dataclass(frozen=True)
class Pair:
    """A model twice: as transformers runs it, and for us."""

    reference: Qwen3ASRForConditionalGeneration
    ours: Qwen3ASRForConditionalGeneration
    head: tuple[int, ...] = HEAD
    tail: tuple[int, ...] = TAIL
    ends: frozenset[int] = frozenset()
    new_tokens: int = NEW_TOKENS
    """At most, in a step."""
    most_forced: int = 5
    """More of random weights' text is one long repetition, and cut short."""
    extractor: Qwen3ASRFeatureExtractor = field(default_factory=Qwen3ASRFeatureExtractor)

    @property
    def vocabulary(self) -> int:
        """The number of tokens."""
        size: int = self.ours.config.text_config.vocab_size
        return size

    def transcriber(
        self, cache_tokens: int = 8000, reuse: Reuse | None = None, *, graphs: bool = False
    ) -> Transcriber:
        """A fresh one."""
        return Transcriber(
            self.ours, self.extractor,
            cache_tokens=cache_tokens, reuse=reuse or Reuse(), graphs=graphs,
        )  # fmt: skip

    def request(
        self,
        audio: Audio,
        forced: Sequence[int] = (),
        draft: Sequence[int] = (),
        *,
        name: str = "one",
        head: tuple[int, ...] | None = None,
    ) -> Request:
        """A step that writes up to ``new_tokens``."""
        return Request(
            SegmentKey(name, 1), audio, head or self.head, self.tail, tuple(forced), tuple(draft),
            len(forced) + self.new_tokens, self.ends,
        )  # fmt: skip

    def generate(self, request: Request) -> list[int]:
        """The tokens behind the forced ones, without an end token."""
        sound = self.extractor(
            request.audio, sampling_rate=16_000, padding=True, return_attention_mask=True
        )
        model: Any = self.reference
        count = encoder_tokens(int(sound["attention_mask"].sum()))
        audio = [model.config.audio_token_id] * count
        ids = torch.tensor([[*request.head, *audio, *request.tail, *request.forced]])
        out = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            input_features=sound["input_features"],
            input_features_mask=sound["attention_mask"],
            max_new_tokens=self.new_tokens,
            do_sample=False,
            eos_token_id=sorted(self.ends) or None,
            pad_token_id=0,
        )[0, ids.shape[1] :].tolist()
        ends = [i for i, token in enumerate(out) if token in self.ends]
        return list(out[: ends[0]] if ends else out)


def random_pair() -> Pair:
    """Small random weights, untied and large, so that what is written follows what is heard."""
    torch.manual_seed(7)
    config = config_from(replace(SHAPES["tiny"], vocabulary=VOCABULARY))
    config.audio_token_id = VOCABULARY - 1
    model = Qwen3ASRForConditionalGeneration(config).train(False)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.mul_(3.0)
        model.lm_head.weight = torch.nn.Parameter(torch.randn(model.lm_head.weight.shape))
    model.generation_config.eos_token_id = None
    return Pair(as_published(model), model)


def digits_pair() -> Pair:
    """The trained checkpoint with its own prompt: it writes what is said, and then ends."""
    model = Qwen3ASRForConditionalGeneration.from_pretrained(CHECKPOINT).train(False)
    processor = Qwen3ASRProcessor.from_pretrained(CHECKPOINT)
    head, tail = (
        tuple(processor.tokenizer(part)["input_ids"]) for part in prompt("").split("<|audio_pad|>")
    )
    return Pair(as_published(model), model, head, tail, frozenset(end_tokens(processor)), 24, 200)


def as_published(model: Qwen3ASRForConditionalGeneration) -> Qwen3ASRForConditionalGeneration:
    """A copy that nobody plugs anything into."""
    return copy.deepcopy(model)


def two_cities() -> Audio:
    """28 s of a recording: float32 [samples]."""
    from gateway.audio import decode_file
    from tests.speech import speech

    return decode_file(speech("two_cities.wav"))[: 28 * 16_000]


def digits_in_two_languages() -> Audio:
    """28 s of words that the digits checkpoint knows, in a voice that it never heard: float32."""
    parts = [
        long_sample(language, UNSEEN_VOICES[0], seconds=17, seed=5).audio
        for language in ("English", "Chinese")
    ]
    return np.concatenate(parts)[: 28 * 16_000]


def sounds(recording: Audio) -> dict[str, Audio]:
    """28 s each: speech, speech that becomes louder, with digital silence, and noise."""
    louder = recording * np.float32(0.02)
    louder[9 * 16_000 :] *= 10
    louder[17 * 16_000 :] *= 5
    silent = recording.copy()
    silent[2 * 16_000 : 5 * 16_000] = 0
    silent[11 * 16_000 : 20 * 16_000] = 0
    noise = np.random.default_rng(1).normal(0, 0.05, 28 * 16_000).astype(np.float32)
    return {"speech": recording, "louder": louder, "silence": silent, "noise": noise}
