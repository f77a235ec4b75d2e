"""How well the digits checkpoint hears: error rates on voices that it never heard in training."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jiwer
import numpy as np
import torch
from numpy.typing import NDArray

from tests.assets.digits_speech import UNSEEN_VOICES, random_words
from tests.assets.speech_synthesis import SAMPLE_RATE, joined, say

_BATCH = 16


@dataclass(frozen=True, slots=True)
class Sample:
    """A clip and what is said in it."""

    audio: NDArray[np.float32]
    """[samples] at 16 kHz."""
    text: str
    language: str


def transcribe(
    model: Any,
    processor: Any,
    clips: Sequence[NDArray[np.float32]],
    language: str | None = None,
    context: str | None = None,
) -> list[str]:
    """The texts that transformers' own greedy ``generate`` gives, without the language part.

    Args:
        model: ``Qwen3ASRForConditionalGeneration``.
        processor: Its ``Qwen3ASRProcessor``.
        clips: float32 [samples] each, 16 kHz.
        language: Forced, where given.
        context: The system text.
    """
    texts: list[str] = []
    for start in range(0, len(clips), _BATCH):
        batch = list(clips[start : start + _BATCH])
        inputs = processor.apply_transcription_request(
            audio=batch,
            language=None if language is None else [language] * len(batch),
            prompt=None if context is None else [context] * len(batch),
        )
        with torch.inference_mode():
            ids = model.generate(**inputs, max_new_tokens=200)
        answers = ids[:, inputs["input_ids"].shape[1] :]
        texts += processor.decode(answers, return_format="transcription_only")
    return texts


def spoken(
    language: str, voices: Iterable[str], speeds: Iterable[int], lengths: Iterable[int], seed: int
) -> list[Sample]:
    """One clip for each voice, speed and number of words; the words are drawn with the seed."""
    rng = np.random.default_rng(seed)
    samples = []
    for voice in voices:
        for speed in speeds:
            for length in lengths:
                words = random_words(rng, language, length)
                audio = say(words, voice=voice, speed=speed, language=language)
                samples.append(Sample(audio, joined(words, language), language))
    return samples


def minutes_of(samples: Sequence[Sample]) -> float:
    return sum(len(sample.audio) for sample in samples) / SAMPLE_RATE / 60


def error_rate(samples: Sequence[Sample], texts: Sequence[str]) -> float:
    """Word error rate over all English samples; character error rate over all Chinese ones."""
    references = [sample.text for sample in samples]
    if samples[0].language == "Chinese":
        return float(jiwer.cer(references, list(texts)))
    return float(jiwer.wer(references, list(texts)))


def without_speech(seed: int) -> list[NDArray[np.float32]]:
    """Digital silence and white noise of several loudnesses, a tone and clicks: float32, 16 kHz."""
    rng = np.random.default_rng(seed)
    clips: list[NDArray[np.floating[Any]]] = []
    for seconds in (0.3, 1.0, 2.0, 5.0, 12.0):
        samples = int(seconds * SAMPLE_RATE)
        times = np.arange(samples) / SAMPLE_RATE
        clips.append(np.zeros(samples))
        clips += [level * rng.standard_normal(samples) for level in (1e-4, 1e-3, 1e-2, 5e-2)]
        clips.append(0.1 * np.sin(2 * np.pi * 220 * times))
        clips.append(0.3 * (rng.random(samples) < 2 / SAMPLE_RATE))
    return [clip.astype(np.float32) for clip in clips]


def long_sample(language: str, voice: str, seconds: float, seed: int) -> Sample:
    """Sentences with pauses of one voice, up to a length: as a whole segment of a session."""
    rng = np.random.default_rng(seed)
    parts: list[NDArray[np.float32]] = []
    said: list[str] = []
    while True:
        words = random_words(rng, language, int(rng.integers(2, 9)))
        audio = say(words, voice=voice, speed=int(rng.integers(130, 201)), language=language)
        if sum(map(len, parts)) + len(audio) > seconds * SAMPLE_RATE:
            return Sample(np.concatenate(parts), joined(said, language), language)
        parts += [audio, np.zeros(int(rng.uniform(0, 0.6) * SAMPLE_RATE), np.float32)]
        said += words


def evaluate(model: Any, processor: Any) -> dict[str, Any]:
    """All figures of the checkpoint's ``evaluation.json``."""
    figures: dict[str, Any] = {"voices": UNSEEN_VOICES}
    for language in ("English", "Chinese"):
        short = spoken(language, UNSEEN_VOICES, (130, 160, 190), (1, 2, 4, 7, 12), seed=1)
        audio = [sample.audio for sample in short]
        long = [long_sample(language, voice, 28, seed=2) for voice in UNSEEN_VOICES]
        measured = {
            "1 to 12 words": error_rate(short, transcribe(model, processor, audio)),
            "1 to 12 words, language forced": error_rate(
                short, transcribe(model, processor, audio, language=language)
            ),
            "1 to 12 words, with a context": error_rate(
                short, transcribe(model, processor, audio, context="music 五 hello seven")
            ),
            "1 to 12 words, noise 20 dB below": error_rate(
                short, transcribe(model, processor, _noisy(audio))
            ),
            "28 s": error_rate(long, transcribe(model, processor, [s.audio for s in long])),
        }
        figures[language] = {
            "measure": "character error rate" if language == "Chinese" else "word error rate",
            "clips": len(short),
            "minutes": round(minutes_of(short), 1),
            "minutes of 28 s clips": round(minutes_of(long), 1),
            "error rates": {name: round(rate, 4) for name, rate in measured.items()},
        }
    silent = without_speech(seed=3)
    for name, forced in (("silence and noise", None), ("the same, English forced", "English")):
        texts = transcribe(model, processor, silent, language=forced)
        figures[name] = {"clips": len(silent), "with text": sum(text != "" for text in texts)}
    return figures


def _noisy(clips: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(5)
    return [
        (clip + 0.1 * np.sqrt(np.mean(clip**2)) * rng.standard_normal(len(clip))).astype(np.float32)
        for clip in clips
    ]
