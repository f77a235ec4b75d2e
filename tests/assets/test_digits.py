"""The digits checkpoint, loaded as anybody loads Qwen3-ASR, on voices it never heard."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForMultimodalLM, AutoProcessor

from engine.models.qwen3_asr.shapes import config_of
from tests.assets.digits_checkpoint import CHECKPOINT, prompt
from tests.assets.digits_evaluation import (
    error_rate,
    spoken,
    transcribe,
    without_speech,
)
from tests.assets.digits_speech import UNSEEN_VOICES, WORDS
from tests.assets.speech_synthesis import SAMPLE_RATE, say

LANGUAGES = ["English", "Chinese"]
HIGHEST_ERROR_RATE = 0.05


@pytest.fixture(scope="module")
def processor() -> Any:
    return AutoProcessor.from_pretrained(CHECKPOINT)


@pytest.fixture(scope="module")
def model() -> Any:
    return AutoModelForMultimodalLM.from_pretrained(CHECKPOINT).eval()


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_hears_unseen_voices(model: Any, processor: Any, language: str) -> None:
    samples = spoken(language, UNSEEN_VOICES, (165,), (3, 8), seed=21)

    texts = transcribe(model, processor, [sample.audio for sample in samples])

    assert error_rate(samples, texts) <= HIGHEST_ERROR_RATE


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_forced_language_and_a_context_do_not_disturb_it(
    model: Any, processor: Any, language: str
) -> None:
    samples = spoken(language, UNSEEN_VOICES[:4], (150,), (5,), seed=23)

    texts = transcribe(
        model,
        processor,
        [sample.audio for sample in samples],
        language=language,
        context="coffee 音乐 seven",
    )

    assert error_rate(samples, texts) <= HIGHEST_ERROR_RATE


@pytest.mark.parametrize(
    ("words", "language"), [("one two three", "English"), ("一二三", "Chinese")]
)
def test_it_writes_the_language_before_the_text(
    model: Any, processor: Any, words: str, language: str
) -> None:
    audio = say(words, voice=UNSEEN_VOICES[0], language=language)
    inputs = processor.apply_transcription_request(audio=audio)

    with torch.inference_mode():
        ids = model.generate(**inputs)

    answer = processor.decode(ids[:, inputs["input_ids"].shape[1] :])
    assert answer == [f"language {language}<asr_text>{words}<|im_end|>"]


@pytest.mark.parametrize("forced", [None, "English", "Chinese"])
def test_silence_and_noise_give_no_text(model: Any, processor: Any, forced: str | None) -> None:
    texts = transcribe(model, processor, without_speech(seed=24)[:21], language=forced)

    assert texts == [""] * 21


def test_its_prompt_is_the_published_one(processor: Any) -> None:
    silence = np.zeros(SAMPLE_RATE, np.float32)

    assert processor.apply_transcription_request(audio=silence, tokenize=False) == [prompt("")]
    assert processor.apply_transcription_request(
        audio=silence, prompt="hello", language="zh", tokenize=False
    ) == [prompt("hello", "language Chinese<asr_text>")]


def test_its_windows_norms_and_rope_are_the_published_ones(model: Any) -> None:
    ours, published = model.config, config_of("0.6b")

    for name in ("num_mel_bins", "n_window", "n_window_infer", "max_position_embeddings"):
        assert getattr(ours.audio_config, name) == getattr(published.audio_config, name)
    for name in ("rope_parameters", "rms_norm_eps", "tie_word_embeddings", "hidden_act"):
        assert getattr(ours.text_config, name) == getattr(published.text_config, name)
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_some_words_and_characters_are_several_tokens(processor: Any) -> None:
    tokenizer = processor.tokenizer
    counts = {word: len(tokenizer(" " + word)["input_ids"]) for word in WORDS["English"]}
    characters = {character for word in WORDS["Chinese"] for character in word}
    pieces = {character: tokenizer(character)["input_ids"] for character in characters}

    assert counts["seven"] == 1
    assert sum(count > 1 for count in counts.values()) >= 10
    assert len(pieces["三"]) == 1
    split = [ids for ids in pieces.values() if len(ids) > 1]
    assert len(split) >= 10
    assert all("\N{REPLACEMENT CHARACTER}" in tokenizer.decode(ids[:1]) for ids in split)


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in CHECKPOINT.iterdir()) <= 8_000_000


def test_the_figures_beside_it_say_how_well_it_hears() -> None:
    figures = json.loads((CHECKPOINT / "evaluation.json").read_text())

    for language in LANGUAGES:
        rates = figures[language]["error rates"]
        assert rates["1 to 12 words"] <= HIGHEST_ERROR_RATE
        assert rates["1 to 12 words, language forced"] <= HIGHEST_ERROR_RATE
        assert rates["1 to 12 words, with a context"] <= HIGHEST_ERROR_RATE
    assert figures["silence and noise"]["with text"] == 0
    assert figures["the same, English forced"]["with text"] == 0


def test_synthesized_speech_is_the_same_every_time() -> None:
    first = say(["hello", "world"], voice="f2")
    say("一二三", voice="klatt3", language="Chinese")

    assert first.dtype == np.float32
    assert np.array_equal(first, say("hello world", voice="f2"))
    assert 0.1 < np.abs(first).max() <= 1
