"""An aligner's checkpoint with the tokenizer of the digits, random weights, and a head of the
published size that is fitted to one clip.

What it says of other clips makes no sense, but follows from their audio and words.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Qwen3ASRForTokenClassification

from engine.messages import Audio
from tests.assets.digits_checkpoint import new_config, new_processor

CLASSES = 5000
"""``classify_num`` of the published aligner: 400 s in steps of 80 ms."""

CHAT_TEMPLATE = (
    "{%- set ns = namespace(audio='', words=[]) -%}"
    "{%- for m in messages -%}{%- for c in m.content -%}"
    "{%- if c.type == 'audio' -%}"
    "{%- set ns.audio = ns.audio + '<|audio_start|><|audio_pad|><|audio_end|>' -%}"
    "{%- else -%}{%- set ns.words = ns.words + [c.text] -%}{%- endif -%}"
    "{%- endfor -%}{%- endfor -%}"
    "{{- ns.audio + ns.words | join('<timestamp><timestamp>') + '<timestamp><timestamp>' -}}"
)
"""The form of the published aligner's: the audio, then two markers behind each word."""


def noise(samples: int, seed: int = 0) -> Audio:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


COUNTING = "One two: three four five six seven eight nine. " * 5
LONGEST = (noise(28 * 16_000, 1), COUNTING)
"""The clip, and its words, that the head is fitted to."""


def write_aligner(folder: Path) -> None:
    """Writes the checkpoint."""
    torch.manual_seed(3)
    processor = new_processor()
    processor.chat_template = CHAT_TEMPLATE
    config = new_config(processor)
    config.num_labels = CLASSES
    model = Qwen3ASRForTokenClassification(config)
    _fit_head(processor, model)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


@torch.no_grad()
def _fit_head(processor: Any, model: Any) -> None:
    """Gives the longest clip's markers every third class, in order, by least squares."""
    model.train(False)
    for weights in model.parameters():
        if weights.dim() > 1:
            weights.mul_(3.0)
    inputs, _ = processor.prepare_forced_aligner_inputs(*LONGEST, "en")
    markers = inputs["input_ids"] == model.config.timestamp_token_id
    hidden = model.model(**inputs).last_hidden_state[markers]
    model.score.weight.zero_()
    model.score.weight[: 3 * len(hidden) : 3] = torch.linalg.pinv(hidden).T
