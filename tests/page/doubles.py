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


class SlowDigestModel(DigestModel):
    """Takes a while for each step."""

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        time.sleep(0.2)
        return super().step(batch)
