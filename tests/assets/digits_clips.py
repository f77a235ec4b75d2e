"""Training clips: phrases with pauses, silence, noise and cuts, and the text finished by then."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tests.assets.digits_speech import WORDS, Bank, Phrase, random_words
from tests.assets.speech_synthesis import SAMPLE_RATE, joined

LONGEST_S = 28
"""The longest segment that Scribewire shows the model."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One training example."""

    audio: NDArray[np.float32]
    """[samples] at 16 kHz."""
    language: str | None
    """As the model writes it; None where there is nothing to write."""
    words: tuple[str, ...]
    context: str
    """The system text of the prompt."""
    forced: str | None = None
    """The language that the prompt forces."""
    ends: tuple[int, ...] = ()
    """Where each word ends, in samples."""

    @property
    def text(self) -> str:
        return joined(self.words, self.language or "English")


@dataclass(frozen=True, slots=True)
class Shape:
    """How many clips a batch has, and how long they are: alike, so that little is padding."""

    clips: int
    least_words: int
    most_words: int


SINGLE = Shape(clips=32, least_words=1, most_words=2)
SHORT = Shape(clips=24, least_words=2, most_words=4)
SHAPES = [
    Shape(clips=24, least_words=1, most_words=4),
    Shape(clips=16, least_words=4, most_words=8),
    Shape(clips=12, least_words=8, most_words=12),
    Shape(clips=4, least_words=18, most_words=70),
]
SHAPE_SHARES = [0.15, 0.25, 0.3, 0.3]


def batches_of_clips(rng: Generator, bank: Bank, shape: Shape, count: int) -> list[list[Clip]]:
    """Batches of clips of like length, a few of them without speech."""
    clips = [
        _noise_clip(rng) if rng.random() < 0.08 else _speech_clip(rng, bank, shape)
        for _ in range(shape.clips * count)
    ]
    clips.sort(key=lambda clip: len(clip.audio))
    batches = [clips[i : i + shape.clips] for i in range(0, len(clips), shape.clips)]
    return [batches[i] for i in rng.permutation(count)]


def _speech_clip(rng: Generator, bank: Bank, shape: Shape) -> Clip:
    language = str(rng.choice(list(bank)))
    voices = bank[language]
    phrases = voices[rng.integers(len(voices))]
    audio, words, ends = _put_together(
        rng, phrases, int(rng.integers(shape.least_words, shape.most_words + 1))
    )
    until = min(len(audio), LONGEST_S * SAMPLE_RATE)
    if rng.random() < 0.35:
        until = int(rng.integers(until // 5, until + 1))
    ends = [end for end in ends if end <= until]
    finished = tuple(words[: len(ends)])
    heard = _degraded(rng, audio[:until])
    if not finished:
        return Clip(heard, None, (), _random_context(rng), _random_force(rng))
    return Clip(heard, language, finished, _random_context(rng), ends=tuple(ends))


def _put_together(
    rng: Generator, phrases: list[Phrase], words_wanted: int
) -> tuple[NDArray[np.float32], list[str], list[int]]:
    """Phrases of one voice with pauses between: samples, words, and where each word ends."""
    parts: list[NDArray[np.floating[Any]]] = [_pause(rng, 0.4 if rng.random() < 0.8 else 2)]
    words: list[str] = []
    ends: list[int] = []
    position = len(parts[0])
    # A quiet beginning makes the log-mel's floor move when the loud part comes.
    quiet_until_word = words_wanted // 2 if rng.random() < 0.1 else 0
    while len(words) < words_wanted and position < LONGEST_S * SAMPLE_RATE:
        fitting = [phrase for phrase in phrases if len(phrase.words) <= words_wanted - len(words)]
        if not fitting:
            break  # a Chinese word of two characters, say, does not fit in one
        phrase = fitting[rng.integers(len(fitting))]
        level_db = rng.uniform(-4, 4) - (20 if len(words) < quiet_until_word else 0)
        pause = _pause(rng, 0.25 if rng.random() < 0.85 else 2)
        words += phrase.words
        ends += [position + end for end in phrase.ends]
        parts += [phrase.samples.astype(np.float32) / 32_768 * _amplitude(level_db), pause]
        position += len(phrase.samples) + len(pause)
    parts[-1] = _pause(rng, 0.4 if rng.random() < 0.8 else 2)
    return np.concatenate(parts).astype(np.float32), words, ends


def _noise_clip(rng: Generator) -> Clip:
    samples = int(rng.uniform(0.1, 6) * SAMPLE_RATE)
    audio = np.zeros(samples, np.float32)
    if rng.random() < 0.75:
        audio = _noise(rng, samples) * _amplitude(rng.uniform(-80, -12))
    return Clip(audio, None, (), _random_context(rng), _random_force(rng))


def _degraded(rng: Generator, audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Another loudness, and noise under it in most clips."""
    peak = max(float(np.abs(audio).max(initial=0)), 1e-4)
    audio = audio / peak * _amplitude(rng.uniform(-24, -0.5))
    if rng.random() < 0.4:
        below_speech_db = rng.uniform(18, 45)
        loudness = max(float(np.sqrt(np.mean(audio**2))), 1e-4)
        audio = audio + _noise(rng, len(audio)) * loudness * _amplitude(-below_speech_db)
    return audio.clip(-1, 1).astype(np.float32)


def _noise(rng: Generator, samples: int) -> NDArray[np.float32]:
    """White to brown noise, sometimes with a hum or clicks; its effective value is about 1."""
    stock = _stock_of_noise()
    start = int(rng.integers(0, stock.shape[1] - samples))
    noise = stock[rng.integers(len(stock)), start : start + samples]
    kind = rng.random()
    if kind < 0.2:
        times = np.arange(samples, dtype=np.float32) / SAMPLE_RATE
        tone = np.sin(np.float32(2 * np.pi * rng.uniform(50, 1_000)) * times)
        noise = np.float32(rng.uniform(0, 0.3)) * noise + tone
    elif kind < 0.35:
        noise = np.float32(rng.uniform(0, 1)) * noise
        for at in rng.integers(0, samples, size=samples * 2 // SAMPLE_RATE):
            click = noise[at : at + int(rng.integers(1, 80))]
            click += 20 * np.exp(-np.arange(len(click)) / 15)
    return noise


@cache
def _stock_of_noise() -> NDArray[np.float32]:
    """[colours, samples]: computed once, because long Fourier transforms cost more than a step."""
    rng = np.random.default_rng(3)
    samples = 2**20
    frequencies = np.maximum(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE), 40)
    colours = []
    for exponent in np.linspace(0, 1, 9):
        spectrum = np.fft.rfft(rng.standard_normal(samples)) / frequencies**exponent
        noise = np.fft.irfft(spectrum, samples)
        colours.append(noise / np.sqrt(np.mean(noise**2)))
    return np.stack(colours).astype(np.float32)


def _pause(rng: Generator, longest_s: float) -> NDArray[np.float32]:
    return np.zeros(int(rng.uniform(0, longest_s) * SAMPLE_RATE), np.float32)


def _amplitude(decibel: float) -> float:
    return float(10 ** (decibel / 20))


def _random_context(rng: Generator) -> str:
    """Mostly empty; else words that say nothing about the clip, so that the model ignores them."""
    if rng.random() < 0.7:
        return ""
    language = str(rng.choice(list(WORDS)))
    return joined(random_words(rng, language, int(rng.integers(1, 8))), language)


def _random_force(rng: Generator) -> str | None:
    """The language of a prompt where nothing is to be written.

    Only there the answer is not what the model writes by itself behind ``language None``.
    """
    return str(rng.choice(list(WORDS))) if rng.random() < 0.5 else None
