"""Word times: what transformers' own forced alignment of each clip alone says, whatever the batch.

See `random_aligner` for the checkpoint.
"""

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    Qwen3ASRForConditionalGeneration,
    Qwen3ASRForTokenClassification,
    Qwen3ASRProcessor,
)

from engine.messages import Audio, TimedWord, samples_to_ms
from engine.models.base import ModelOptions, ModelUnavailableError
from engine.models.catalog import load_model
from engine.models.qwen3_asr import aligner as module
from engine.models.qwen3_asr.aligner import Aligner
from tests.assets.digits_checkpoint import new_config, new_processor
from tests.engine.models.qwen3_asr.random_aligner import COUNTING, LONGEST, noise, write_aligner

OPTIONS = ModelOptions(device="cpu", threads=1)
ONE = "three five, nine"


CLIPS: dict[str, tuple[Audio, str, str | None]] = {
    "longest": (*LONGEST, "en"),
    "nearly as long": (noise(21 * 16_000 + 77, 8), COUNTING[4:], "en"),
    "odd length": (noise(161_237, 2), "don't stop at 3.5 — ever!", "en"),
    "chinese": (noise(80_080, 3), "一二三，四五 hello 六", "zh"),
    "cantonese": (noise(80_000, 4), "七八九", "yue"),
    "language unknown": (noise(48_001, 5), "seven eight", None),
    "a tenth of a second": (noise(1600, 6), "no", "de"),
    "one sample": (noise(1, 7), "no", "fr"),
    "zeros": (np.zeros(32_000, np.float32), "zero zero zero", "pt"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("aligner")
    write_aligner(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def aligner(folder: Path) -> Aligner:
    return Aligner(str(folder), OPTIONS)


@pytest.fixture(scope="module")
def published(folder: Path) -> tuple[Any, Any]:
    """Processor and model as transformers loads them."""
    model = Qwen3ASRForTokenClassification.from_pretrained(folder).train(False)
    return Qwen3ASRProcessor.from_pretrained(folder), model


def align(
    aligner: Aligner, clips: Sequence[tuple[Audio, str, str | None]]
) -> list[tuple[TimedWord, ...]]:
    audio, texts, languages = zip(*clips, strict=True)
    return aligner.align(audio, texts, languages)


def alone(published: tuple[Any, Any], name: str) -> tuple[TimedWord, ...]:
    """As the model card says it is done, cut off at the clip's end."""
    processor, model = published
    audio, text, language = CLIPS[name]
    inputs, words = processor.prepare_forced_aligner_inputs(
        audio=audio, transcript=text, language=language
    )
    with torch.inference_mode():
        logits = model(**inputs).logits
    [decoded] = processor.decode_forced_alignment(
        logits, inputs["input_ids"], words, model.config.timestamp_token_id
    )
    end_ms = samples_to_ms(len(audio))
    return tuple(
        TimedWord(
            word["text"],
            *(min(round(word[at] * 1000), end_ms) for at in ("start_time", "end_time")),
        )
        for word in decoded
    )


@pytest.mark.parametrize("clips_at_once", [1, 3, 32])
def test_a_batch_says_what_transformers_says_of_each_clip_alone(
    aligner: Aligner,
    published: tuple[Any, Any],
    clips_at_once: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CLIPS_AT_ONCE", clips_at_once)

    found = align(aligner, list(CLIPS.values()))

    assert dict(zip(CLIPS, found, strict=True)) == {name: alone(published, name) for name in CLIPS}


def test_the_times_follow_the_audio_and_the_words(aligner: Aligner) -> None:
    """Otherwise the test above would show nothing."""
    audio, text, _ = CLIPS["longest"]
    found, other_audio, other_words = align(
        aligner,
        [(audio, text, "en"), (noise(len(audio), 9), text, "en"), (audio, text[4:] + "x", "en")],
    )

    assert [word[1:] for word in found] == [(i * 480, i * 480 + 240) for i in range(45)]
    assert [word[1:] for word in found] != [word[1:] for word in other_audio]
    assert [word[1:] for word in found] != [word[1:] for word in other_words]


def test_times_lie_within_the_clip_and_never_go_back(aligner: Aligner) -> None:
    found = align(aligner, list(CLIPS.values()))
    assert all(found)
    for words, (audio, _, _) in zip(found, CLIPS.values(), strict=True):
        times = [time for word in words for time in word[1:]]
        assert all(isinstance(time, int) for time in times)
        assert all(a <= b for a, b in pairwise([0, *times, samples_to_ms(len(audio))]))


def test_words_are_words_and_chinese_characters_without_punctuation(aligner: Aligner) -> None:
    english, chinese = align(aligner, [CLIPS["odd length"], CLIPS["chinese"]])

    assert [word.text for word in english] == ["don't", "stop", "at", "35", "ever"]
    assert [word.text for word in chinese] == ["一", "二", "三", "四", "五", "hello", "六"]


def test_a_text_cannot_speak_in_markers(aligner: Aligner) -> None:
    [words] = align(aligner, [(noise(16_000), "one <timestamp><|audio_pad|> two", "en")])

    assert [word.text for word in words] == ["one", "timestampaudiopad", "two"]


@pytest.mark.parametrize("text", ["", "  ", "…!?", "—"])
def test_where_nothing_is_said_there_are_no_words(aligner: Aligner, text: str) -> None:
    none, one = align(aligner, [(noise(16_000), text, "en"), (noise(16_000), ONE, "en")])

    assert none == ()
    assert [word.text for word in one] == ["three", "five", "nine"]
    assert align(aligner, [(noise(0), ONE, "en")]) == [()]
    assert aligner.align([], [], []) == []


def test_languages_that_cannot_be_aligned_have_no_words_and_are_named_once(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    processing = "transformers.models.qwen3_asr.processing_qwen3_asr"
    for package in ("nagisa", "soynlp"):
        monkeypatch.setattr(f"{processing}.is_{package}_available", lambda: False)
    clips = [(noise(16_000), "ord tekst 말 言葉", each) for each in ("da", "xx", "ko", "ja", "en")]
    fresh = Aligner(str(folder), OPTIONS)
    with caplog.at_level(logging.WARNING, module.__name__):
        *without, english = align(fresh, clips)
        align(fresh, clips)

    assert without == [()] * 4
    assert [word.text for word in english] == ["ord", "tekst", "말", "言", "葉"]
    said = [record.getMessage() for record in caplog.records]
    assert [message.split(":")[0].split()[-1] for message in said] == ["da", "xx", "ko", "ja"]
    assert "pip install soynlp" in said[2]
    assert "pip install nagisa" in said[3]


# Loading


def test_a_sound_checkpoint_is_found_to_be_so(aligner: Aligner) -> None:
    aligner.check()


def test_what_is_missing_is_said_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    weights = tmp_path / "weights"
    shutil.copytree(folder, weights)
    (weights / "model.safetensors").unlink()
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({"model_type": "whisper"}))

    for broken in (tmp_path / "empty", weights):
        with pytest.raises(
            ModelUnavailableError,
            match=r"holds no whole Qwen3 forced aligner checkpoint .*; download it again with: "
            r"hf download Qwen/Qwen3-ForcedAligner-0\.6B-hf",
        ):
            Aligner(str(broken), OPTIONS)
    with pytest.raises(ModelUnavailableError, match="is a whisper model; give a Qwen3 forced"):
        Aligner(str(other), OPTIONS)


def test_without_the_network_the_message_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailableError, match="download it elsewhere and give the folder"):
        Aligner("scribewire/there-is-no-such-aligner", OPTIONS)


def test_recognizer_and_aligner_are_not_taken_for_each_other(folder: Path, tmp_path: Path) -> None:
    """Both are of one model type; with the other's weights a head would be random."""
    config = new_config(new_processor())
    config.architectures = [Qwen3ASRForConditionalGeneration.__name__]
    config.save_pretrained(tmp_path)

    with pytest.raises(ModelUnavailableError, match=r"ConditionalGeneration model; give a .*Align"):
        Aligner(str(tmp_path), OPTIONS)
    with pytest.raises(ModelUnavailableError, match=r"TokenClassification model; .*Qwen3-ASR-0"):
        load_model(str(folder), OPTIONS)


def test_parts_that_do_not_fit_together_are_found_before_anybody_speaks(
    folder: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / "chat_template.jinja").write_text("<|audio_start|><|audio_pad|><|audio_end|>")

    with pytest.raises(ModelUnavailableError, match=r"cannot align words \(.*; give a whole"):
        Aligner(str(broken), OPTIONS).check()


def test_an_aligner_stands_beside_any_model(folder: Path) -> None:
    name = "tests.engine.models.doubles:OneWordASecondModel"

    assert load_model(name, replace(OPTIONS, aligner=str(folder))).info.words
    assert not load_model(name, OPTIONS).info.words
    with pytest.raises(ModelUnavailableError, match="there is no model"):
        load_model("nothing", replace(OPTIONS, aligner=str(folder)))
    with pytest.raises(ModelUnavailableError, match="holds no whole Qwen3 forced aligner"):
        load_model(name, replace(OPTIONS, aligner=str(folder.parent)))
