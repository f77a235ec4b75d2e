"""What streaming costs and how far its text can be relied on, by rollback and with drafts or not.

``python -m tests.measure_streaming [--model moonshine|digits] [--json FILE]``

For each setting the recordings are walked through without a clock: every due step is taken at once,
so figures do not depend on the machine (seconds do). Offline is the same model on the same segments
as a whole. ``moonshine`` hears the shipped recordings, ``digits`` the small Qwen3-ASR checkpoint
phrases of a voice it was not trained with, in English and Mandarin (it is made by ``python -m
tests.assets.train_digits``).
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path

import jiwer
import numpy as np
import regex

from engine.messages import Audio, ModelInfo, SegmentKey, Step, StepResult
from engine.models.base import ModelOptions, SpeechModel
from engine.models.catalog import EMBEDDED, load_model
from engine.segment import Due, StreamOptions
from engine.transcript import Event, Final, Partial
from engine.vad import VoiceDetector
from gateway.audio import decode_file
from tests.assets.digits_checkpoint import CHECKPOINT
from tests.assets.digits_speech import WORDS
from tests.assets.speech_synthesis import joined, say
from tests.speech import speech
from tests.stepping import walk

RECORDINGS = ("two_cities.wav", "beckett.wav", "endgame_nagg_nell.wav")
ROLLBACKS = (0, 5, 10, 20, None)
UNIT = regex.compile(r"\p{Han}|[^\s\p{Han}]+")
"""A word, or a character where words are written without spaces."""


@dataclass
class Tally:
    """One setting's figures over all recordings."""

    steps: int = 0
    passes: int = 0
    """Of the decoder, one after the other."""
    model_s: float = 0.0
    gflops: float = 0.0
    finals: int = 0
    revised: int = 0
    """Finals that contradict stable text."""
    stable_words: int = 0
    wrong_words: int = 0
    """Stable words that the final does not have."""
    shown_words: int = 0
    changed_words: int = 0
    """Shown words that the next partial or the final takes back."""
    wer_against_offline: float = 0.0


class WithoutDrafts:
    """A model that is never told what was said before, beyond the forced prefix."""

    def __init__(self, model: SpeechModel) -> None:
        self._model = model

    @property
    def info(self) -> ModelInfo:
        """The model's."""
        return self._model.info

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        """Without the drafts."""
        return self._model.step([replace(step, draft=()) for step in batch])

    def forget(self, key: SegmentKey) -> None:
        """As the model does."""
        self._model.forget(key)

    def warm_up(self) -> None:
        """As the model does."""


def words(text: str) -> list[str]:
    """Words, or characters of scripts without spaces; without case and outer punctuation."""
    found = (word.strip(".,;:!?\"'-").casefold() for word in UNIT.findall(text))
    return [word for word in found if word]


def taken_back(before: list[str], after: list[str]) -> int:
    """Words of ``before`` that are not in ``after`` where they were."""
    matches = SequenceMatcher(a=before, b=after, autojunk=False).get_matching_blocks()
    return len(before) - sum(match.size for match in matches)


def measure(
    model: SpeechModel, audios: Sequence[Audio], options: StreamOptions, detector: VoiceDetector
) -> Tally:
    """Walks all recordings with ``options``."""
    tally = Tally()

    def count(due: Due, step: Step, result: StepResult) -> None:
        tally.steps += 1
        tally.passes += result.decode_steps
        tally.model_s += result.encode_s + result.decode_s
        tally.gflops += result.flops / 1e9

    said, reference = [], []
    for audio in audios:
        events = walk(audio, options, model, detector, count)
        finals = [event for event in events if isinstance(event, Final)]
        for final in finals:
            _follow(tally, final, list(_partials(events, final.segment)))
        whole = walk(audio, replace(options, partials=False), model, detector)
        said += [" ".join(words(final.text)) for final in finals]
        reference += [" ".join(words(e.text)) for e in whole if isinstance(e, Final)]
    tally.wer_against_offline = round(float(jiwer.wer(" ".join(reference), " ".join(said))), 4)
    tally.model_s, tally.gflops = round(tally.model_s, 2), round(tally.gflops, 1)
    return tally


def _partials(events: Sequence[Event], segment: int) -> Iterator[Partial]:
    for event in events:
        if isinstance(event, Partial) and event.segment == segment:
            yield event


def _follow(tally: Tally, final: Final, partials: Sequence[Partial]) -> None:
    tally.finals += 1
    tally.revised += final.revised
    texts = [words(partial.stable + partial.unstable) for partial in partials]
    texts.append(words(final.text))
    tally.shown_words += len(texts[-1])
    tally.changed_words += sum(taken_back(a, b) for a, b in pairwise(texts))
    if partials:
        stable = words(partials[-1].stable)
        tally.stable_words += len(stable)
        tally.wrong_words += taken_back(stable, texts[-1][: len(stable) + 2])


def recordings(name: str) -> list[Audio]:
    """What a model is measured with."""
    if name == "moonshine":
        return [decode_file(speech(recording)) for recording in RECORDINGS]
    random, spoken = np.random.default_rng(0), []
    for language, pause_s in (("English", 0.3), ("English", 1.0), ("Chinese", 0.3)):
        parts = []
        for _ in range(8):
            phrase = joined(random.choice(WORDS[language], 5).tolist(), language)
            parts += [say(phrase, voice="f2", speed=150, language=language)]
            parts += [np.zeros(int(pause_s * 16_000), np.float32)]
        spoken.append(np.concatenate(parts))
    return spoken


def main() -> None:
    """Prints a table, and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=("moonshine", "digits"), default="moonshine")
    parser.add_argument("--chunk-ms", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    wish = parser.parse_args()
    name = EMBEDDED if wish.model == "moonshine" else str(CHECKPOINT)
    model, detector = load_model(name, ModelOptions(device="cpu")), VoiceDetector()
    audios = recordings(wish.model)
    print(f"{sum(map(len, audios)) / 16_000:.0f} s of speech, chunk_ms={wish.chunk_ms}")
    print("| K | drafts | passes | GFLOP | WER to offline | wrong stable | flicker | revised |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    rows = []
    for rollback in ROLLBACKS:
        for drafts in (True, False):
            options = StreamOptions(chunk=wish.chunk_ms * 16, rollback_tokens=rollback)
            one = measure(model if drafts else WithoutDrafts(model), audios, options, detector)
            rows.append({"rollback_tokens": rollback, "drafts": drafts} | vars(one))
            print(
                f"| {'all' if rollback is None else rollback} | {'on' if drafts else 'off'} "
                f"| {one.passes} | {one.gflops or '–'} | {one.wer_against_offline:.3f} "
                f"| {one.wrong_words} of {one.stable_words} "
                f"| {one.changed_words / max(1, one.shown_words):.3f} "
                f"| {one.revised} of {one.finals} |",
                flush=True,
            )
    if wish.json:
        wish.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
