"""Models for what only a page can show."""

import time
from collections.abc import Sequence
from dataclasses import replace

from engine.messages import Step, StepResult
from tests.engine.models.doubles import INFO, DigestModel, OneWordASecondModel

MARKUP = ' "><img src=x onerror=alert(1)><script>alert(2)</script> &amp; <b>bold</b>'


class MarkupModel(OneWordASecondModel):
    """Writes markup, whatever is said."""

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        pieces = tuple(f" {word}".encode() for word in MARKUP.split())
        return [
            StepResult(
                tokens=tuple(range(len(pieces))),
                pieces=pieces,
                stop="eos",
                language="en",
                confidence=0.9,
            )
            for _ in batch
        ]


PHRASES = {
    "en": "The committee met again on Tuesday.",
    "ar": "اجتمعت اللجنة مرة أخرى يوم الثلاثاء.",
    "ja": "委員会は火曜日に再び会合を開きました。",
}


class PolyglotModel(OneWordASecondModel):
    """Hears another language in each segment, unless it is told which one is spoken."""

    info = replace(INFO, languages={"en": "English", "ar": "Arabic", "ja": "Japanese"})

    def answer(self, step: Step) -> StepResult:
        language = step.language or list(PHRASES)[step.key.segment % len(PHRASES)]
        piece = f" {PHRASES[language]}".encode()
        return StepResult((0,), (piece,), "eos", language, 0.9)


class SlowingDigestModel(DigestModel):
    """Takes a second for each step after the first segment, whose final is soon there."""

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        if any(step.key.segment > 1 for step in batch):
            time.sleep(1)
        return super().step(batch)
