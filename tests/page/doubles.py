"""Models for what only a page can show."""

import time
from collections.abc import Sequence

from engine.messages import Step, StepResult
from tests.engine.models.doubles import DigestModel, OneWordASecondModel

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


class SlowingDigestModel(DigestModel):
    """Takes a second for each step after the first segment, whose final is soon there."""

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        if any(step.key.segment > 1 for step in batch):
            time.sleep(1)
        return super().step(batch)
