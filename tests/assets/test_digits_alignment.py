"""Where the attention of the digits checkpoint is led in its training."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.assets.digits_alignment import AttentionToWords
from tests.assets.digits_checkpoint import new_processor
from tests.assets.digits_clips import Clip

ANSWERS = {
    "English": ("language English<asr_text>hello seven<|im_end|>", ("hello", "seven")),
    "Chinese": ("language Chinese<asr_text>三灯<|im_end|>", ("三", "灯")),
}
FIRST_AUDIO = 5
LENGTH = 60


class RecordedAttention(nn.Module):
    """Gives weights [batch, heads, queries, keys] as an attention layer does."""

    def forward(self, weights: torch.Tensor) -> tuple[None, torch.Tensor]:
        return None, weights


def loss_where_all_look_at(key: int, language: str) -> float:
    layer = nn.Module()
    layer.self_attn = RecordedAttention()
    alignment = AttentionToWords(new_processor().tokenizer, [layer])
    answer, words = ANSWERS[language]
    clip = Clip(np.zeros(32_000, np.float32), language, words, "", ends=(16_000, 32_000))
    weights = torch.zeros(1, 2, LENGTH, LENGTH)
    weights[..., key] = 1
    layer.self_attn(weights)
    return alignment.loss([clip], [answer], torch.tensor([FIRST_AUDIO])).item()


@pytest.mark.parametrize("language", ANSWERS)
def test_attention_to_the_word_that_comes_next_costs_nothing(language: str) -> None:
    in_both_words = FIRST_AUDIO + 14  # behind the first word's end, and in the second

    assert loss_where_all_look_at(in_both_words, language) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("language", ANSWERS)
def test_attention_to_another_word_costs(language: str) -> None:
    in_neither = FIRST_AUDIO + 30

    assert loss_where_all_look_at(FIRST_AUDIO + 2, language) > 3
    assert loss_where_all_look_at(FIRST_AUDIO + 22, language) > 3
    assert loss_where_all_look_at(in_neither, language) > 10


def test_without_words_there_is_nothing_to_look_at() -> None:
    layer = nn.Module()
    layer.self_attn = RecordedAttention()
    alignment = AttentionToWords(new_processor().tokenizer, [layer])
    layer.self_attn(torch.zeros(1, 2, LENGTH, LENGTH))
    silence = Clip(np.zeros(16_000, np.float32), None, (), "")

    assert alignment.loss([silence], ["language None<asr_text><|im_end|>"], torch.tensor([5])) == 0
