"""What the digits checkpoint can hear: its words, its voices, and phrases with known word times."""

import ctypes
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tests.assets.speech_synthesis import SAMPLE_RATE, at_16_khz, joined

_ENGLISH = """
zero one two three four five six seven eight nine
hello world yes no stop go left right up down red green blue music water today
"""
_CHINESE = """
零 一 二 三 四 五 六 七 八 九
你好 谢谢 今天 明天 天气 很好 音乐 打开 关闭 红色 绿色 咖啡 左边 右边 请 灯
"""
WORDS = {"English": _ENGLISH.split(), "Chinese": _CHINESE.split()}
"""The vocabulary. The first ten of each language are its digits."""

DIGITS = 10
DIGIT_SHARE = 0.45

_VARIANTS = """
m1 m3 m4 m5 m7 m8 f1 f3 f5 klatt2 klatt4 Andy Annie belinda Denis Diogo edward linda Michael paul
steph quincy travis adam anika Lee rob victor zac
"""
TRAINING_VOICES = ["", *_VARIANTS.split()]
UNSEEN_VOICES = ["m2", "m6", "f2", "f4", "klatt3", "Alicia", "david", "Hugo"]
"""Never used in training: the checkpoint is judged by these alone."""

_ACCENTS = {
    "English": ["gmw/en-US", "gmw/en-US", "gmw/en", "gmw/en-GB-x-rp"],
    "Chinese": ["sit/cmn"],
}
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_CHARS_UTF8 = 1
_RATE, _PITCH = 1, 3
_EVENT_END, _EVENT_WORD = 0, 1
_SILENCE = 330
"""int16 amplitude, -40 dB of full scale: a phrase ends with the last sample louder than this."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A few words spoken in one breath."""

    samples: NDArray[np.int16]
    """[samples] at 16 kHz, without silence at its end."""
    words: tuple[str, ...]
    """English words, or single Chinese characters."""
    ends: tuple[int, ...]
    """Where each word ends, in samples."""


class _Event(ctypes.Structure):
    """``espeak_EVENT`` of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Synthesizer:
    """espeak-ng as a library: five hundred times faster than real time, and it tells word times.

    Not for tests: its samples depend on what it said before (see ``speech_synthesis.say``).
    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        self._rate = self._library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, None, 0)
        self._samples: list[NDArray[np.int16]] = []
        self._starts: list[tuple[int, int]] = []
        self._callback = _Callback(self._receive)  # kept: the library does not own it
        self._library.espeak_SetSynthCallback(self._callback)

    def phrase(
        self, words: list[str], language: str, voice: str, speed: int, pitch: int
    ) -> Phrase | None:
        """The phrase, or None where espeak-ng did not tell the time of every word."""
        self._samples.clear()
        self._starts.clear()
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice}")
        self._library.espeak_SetParameter(_RATE, speed, 0)
        self._library.espeak_SetParameter(_PITCH, pitch, 0)
        text = joined(words, language)
        encoded = text.encode() + b"\0"
        self._library.espeak_Synth(encoded, len(encoded), 0, 1, 0, _CHARS_UTF8, None, None)
        samples = np.concatenate(self._samples)
        samples = samples[: np.flatnonzero(np.abs(samples) > _SILENCE)[-1] + 1]
        units = list(text) if language == "Chinese" else words
        if len(self._starts) != len(units):
            return None
        starts = [start for _, start in self._starts] + [len(samples)]
        ends = tuple(end * SAMPLE_RATE // self._rate for _, end in pairwise(starts))
        resampled = at_16_khz(samples, self._rate)
        return Phrase((resampled * 32_767).astype(np.int16), tuple(units), ends)

    def _receive(self, samples: object, count: int, events: object) -> int:
        if samples and count > 0:
            self._samples.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while (event := events[index]).type != _EVENT_END:  # type: ignore[index]
            # A sentence may end with a word event of its own, at position 0; words begin at 1.
            if event.type == _EVENT_WORD and event.text_position > 0:
                self._starts.append((event.text_position, event.sample))
            index += 1
        return 0


Bank = dict[str, list[list[Phrase]]]
"""Language -> voice -> phrases."""


def phrase_bank(rng: Generator, voices: list[str], phrases_per_voice: int) -> Bank:
    """Phrases of one to six words in every voice and both languages."""
    synthesizer = Synthesizer()
    return {
        language: [
            [
                phrase
                for _ in range(phrases_per_voice)
                if (phrase := _random_phrase(rng, synthesizer, language, variant)) is not None
            ]
            for variant in voices
        ]
        for language in WORDS
    }


def random_words(rng: Generator, language: str, count: int) -> list[str]:
    """Words of the vocabulary; digits more often than the rest."""
    vocabulary = WORDS[language]
    return [
        vocabulary[
            rng.integers(DIGITS)
            if rng.random() < DIGIT_SHARE
            else rng.integers(DIGITS, len(vocabulary))
        ]
        for _ in range(count)
    ]


def _random_phrase(
    rng: Generator, synthesizer: Synthesizer, language: str, variant: str
) -> Phrase | None:
    voice = str(rng.choice(_ACCENTS[language])) + (f"+{variant}" if variant else "")
    return synthesizer.phrase(
        random_words(rng, language, 1 if rng.random() < 0.3 else int(rng.integers(2, 7))),
        language,
        voice,
        speed=int(rng.integers(125, 221)),
        pitch=int(rng.integers(30, 71)),
    )
