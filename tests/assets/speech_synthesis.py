"""Speech made by espeak-ng (Debian package ``espeak-ng``): the same samples every time."""

import subprocess
from collections.abc import Sequence

import numpy as np
import soxr
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Hz, of everything that this package makes."""

BASE_VOICES = {"English": "en-us", "Chinese": "cmn"}
"""The languages by the names that Qwen3-ASR gives them, and espeak-ng's voice for each."""

_WAV_HEADER_BYTES = 44


def say(
    words: str | Sequence[str], *, voice: str = "", speed: int = 160, language: str = "English"
) -> NDArray[np.float32]:
    """A spoken sentence: float32 [samples], mono, 16 kHz, within [-1, 1], with a short silent end.

    A process for each call, because the library carries the state of its oscillators from one
    sentence to the next: what it says would depend on what it said before.

    Args:
        words: A sentence, or its words.
        voice: One of espeak-ng's variants, such as ``f2`` or ``Alicia``; empty for the plain voice.
        speed: Words per minute.
        language: ``English`` or ``Chinese``.
    """
    sentence = words if isinstance(words, str) else joined(words, language)
    name = BASE_VOICES[language] + (f"+{voice}" if voice else "")
    wav = subprocess.run(
        ["espeak-ng", "-v", name, "-s", str(speed), "--stdout", sentence],
        check=True,
        capture_output=True,
    ).stdout
    rate = int.from_bytes(wav[24:28], "little")
    return at_16_khz(np.frombuffer(wav[_WAV_HEADER_BYTES:], "<i2"), rate)


def joined(words: Sequence[str], language: str) -> str:
    """The words as the language writes them: Chinese without spaces."""
    return ("" if language == "Chinese" else " ").join(words)


def at_16_khz(samples: NDArray[np.int16], rate: int) -> NDArray[np.float32]:
    """int16 [samples] at ``rate`` Hz as float32 [samples] at 16 kHz."""
    resampled: NDArray[np.float32] = soxr.resample(
        samples.astype(np.float32) / 32_768, rate, SAMPLE_RATE
    )
    return resampled.clip(-1, 1)
