"""What streaming with the embedded model costs and how far its text can be relied on.

``python -m tests.measure_streaming [--json FILE]``

For each setting the shipped recordings (82 s of speech) are walked through without a clock: every
due step is taken at once. Beside each step that had a draft the same step runs without one: how
often the text differs is how often P4 does not hold for int8 weights (finals never have a draft).
Offline is the same model on the same segments as a whole.
"""

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import jiwer

from engine.messages import Audio, Step, StepResult
from engine.models.moonshine import Moonshine
from engine.segment import StreamOptions
from engine.stream import Due
from engine.transcript import Final, Partial
from engine.vad import VoiceDetector
from gateway.audio import decode_file
from tests.speech import speech
from tests.stepping import walk

RECORDINGS = ("two_cities.wav", "beckett.wav", "endgame_nagg_nell.wav")
SETTINGS = {
    "chunk 2 s, K = 5": StreamOptions(),
    "chunk 2 s, K = 10": StreamOptions(rollback_tokens=10),
    "chunk 2 s, K = all": StreamOptions(rollback_tokens=None),
    "auto, K = 5": StreamOptions(chunk=None),
    "auto, K = 10": StreamOptions(chunk=None, rollback_tokens=10),
    "auto, K = 5, one long segment": StreamOptions(chunk=None, endpoint=0),
}


@dataclass
class Tally:
    """Counts of one setting over all recordings."""

    steps: int = 0
    decoder_passes: int = 0
    model_s: float = 0.0
    drafted_steps: int = 0
    drafted_tokens: int = 0
    kept_tokens: int = 0
    checked_tokens: int = 0
    differing_steps: int = 0
    differing_tokens: int = 0
    finals: int = 0
    revised: int = 0
    retracted: int = 0
    wer_against_offline: float = 0.0


class Measurement:
    """One model for all settings."""

    def __init__(self) -> None:
        self._model, self._detector = Moonshine(), VoiceDetector()
        self._audio: list[Audio] = [decode_file(speech(name)) for name in RECORDINGS]

    def tally(self, options: StreamOptions) -> Tally:
        """Walks all recordings with ``options``."""
        tally = Tally()

        def count(due: Due, step: Step, result: StepResult) -> None:
            tally.steps += 1
            tally.decoder_passes += result.decode_steps
            tally.model_s += result.encode_s + result.decode_s
            if step.draft:
                self._compare(tally, step, result)

        said, reference = [], []
        for audio in self._audio:
            events = walk(audio, options, self._model, self._detector, count)
            finals = [event for event in events if isinstance(event, Final)]
            tally.finals += len(finals)
            tally.revised += sum(final.revised for final in finals)
            tally.retracted += _retracted([e for e in events if isinstance(e, Partial)])
            whole = walk(audio, replace(options, partials=False), self._model, self._detector)
            said += [final.text for final in finals]
            reference += [event.text for event in whole if isinstance(event, Final)]
        tally.wer_against_offline = jiwer.wer("".join(reference), "".join(said))
        tally.model_s = round(tally.model_s, 2)
        return tally

    def _compare(self, tally: Tally, step: Step, result: StepResult) -> None:
        [plain] = self._model.step([replace(step, draft=())])
        tally.drafted_steps += 1
        tally.drafted_tokens += len(step.draft)
        tally.kept_tokens += result.accepted
        tally.checked_tokens += len(plain.tokens) - len(step.forced)
        tally.differing_steps += plain.tokens != result.tokens
        pairs = zip(plain.tokens, result.tokens, strict=False)
        tally.differing_tokens += sum(a != b for a, b in pairs)


def _retracted(partials: list[Partial]) -> int:
    stable: dict[int, str] = {}
    count = 0
    for partial in partials:
        count += not partial.stable.startswith(stable.get(partial.segment, ""))
        stable[partial.segment] = partial.stable
    return count


def main() -> None:
    """Prints a table for README; writes the figures where asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    measurement = Measurement()
    tallies = {name: measurement.tally(options) for name, options in SETTINGS.items()}
    columns = list(Tally.__dataclass_fields__)
    print("| setting | " + " | ".join(name.replace("_", " ") for name in columns) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for name, tally in tallies.items():
        print(f"| {name} | " + " | ".join(str(getattr(tally, each)) for each in columns) + " |")
    if arguments.json:
        rows = {name: vars(tally) for name, tally in tallies.items()}
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
