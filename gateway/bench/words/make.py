"""How the word times beside this file were made: forced alignment with PocketSphinx.

``python -m gateway.bench.words.make AUDIO TEXT`` prints the JSON; it needs ``pip install
pocketsphinx`` (its wheel holds an English acoustic model), which nothing else here does.

TEXT is what was said, as published; the aligner places its words on the audio in frames of 10 ms,
independently of any model that is measured with them. The error: ``--check`` compares the end of
each word before a pause with where the signal falls to the noise floor, which needs no model. For
the 17 pauses of two_cities.wav the aligned end is later by 30 ms in the median, -10 … 110 ms but
for one breath; beckett.wav echoes too much for the check, its ends are where speech ends by ear.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from engine.messages import SAMPLE_RATE, Audio
from gateway.audio import decode_file
from gateway.bench.words import TimedWord, normalised

HOP = SAMPLE_RATE // 100
FRAME_MS = 10
PAUSE_MS = 150
"""A gap to the next word that counts as a pause."""


def align(audio: Audio, text: str) -> list[TimedWord]:
    """The words of ``text`` with their times in ``audio``, shape ``(n,)`` at 16 kHz.

    Raises:
        ValueError: a word is not in the aligner's dictionary, or the text does not fit the audio.
    """
    pocketsphinx: Any = importlib.import_module("pocketsphinx")
    decoder = pocketsphinx.Decoder(samprate=SAMPLE_RATE, bestpath=False, loglevel="FATAL")
    spoken = text.split()
    plain = [normalised(word) for word in spoken]
    unknown = [word for word in plain if decoder.lookup_word(word) is None]
    if unknown:
        raise ValueError(f"not in the aligner's dictionary: {', '.join(unknown)}")
    decoder.set_align_text(" ".join(plain))
    decoder.start_utt()
    decoder.process_raw(np.rint(audio * 32_767).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    placed = [each for each in decoder.seg() or () if not each.word.startswith(("<", "["))]
    if [each.word.split("(")[0] for each in placed] != plain:
        raise ValueError("the text does not fit the audio")
    return [
        TimedWord(word, each.start_frame * FRAME_MS, (each.end_frame + 1) * FRAME_MS)
        for word, each in zip(spoken, placed, strict=True)
    ]


def errors_at_pauses(audio: Audio, words: list[TimedWord]) -> list[int]:
    """For each word before a pause: its end less where the signal falls silent, in ms."""
    hops = len(audio) // HOP
    power = np.square(audio[: hops * HOP].reshape(hops, HOP)).mean(axis=1)
    level = 10 * np.log10(np.convolve(power, np.ones(3) / 3, mode="same") + 1e-10)
    threshold = np.percentile(level, 10) + 12
    errors = []
    for word, following in zip(words, [*words[1:], None], strict=True):
        until = following.start_ms if following else hops * FRAME_MS
        if until - word.end_ms < PAUSE_MS:
            continue
        loud = np.flatnonzero(level[: until // FRAME_MS - 3] > threshold)
        if len(loud):
            errors.append(word.end_ms - int(loud[-1] + 1) * FRAME_MS)
    return errors


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("audio", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    audio = decode_file(arguments.audio)
    words = align(audio, arguments.text.read_text())
    if arguments.check:
        print(sorted(errors_at_pauses(audio, words)), file=sys.stderr)
    rows = ",\n".join(json.dumps(word._asdict(), ensure_ascii=False) for word in words)
    print(f"[\n{rows}\n]")


if __name__ == "__main__":
    main()
