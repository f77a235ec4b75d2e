"""A model that is none, to see what a cluster does to batches of a known cost."""

import time
from collections.abc import Sequence
from dataclasses import replace

from engine.messages import Step, StepResult
from tests.engine.models.doubles import DyingModel, OneWordASecondModel

STEP_S = 0.02


class SteadyModel(OneWordASecondModel):
    """Takes `STEP_S` for a batch of whatever size, as a GPU does."""

    def __init__(self) -> None:
        super().__init__()
        self.info = replace(self.info, max_batch=64)

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        time.sleep(STEP_S)
        return [self.answer(step) for step in batch]  # and keeps nothing of it


class BusyModel(OneWordASecondModel):
    """Takes a tenth of a second for each step: batches save nothing, and a few waiting fill it."""

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        time.sleep(0.1 * len(batch))
        return [self.answer(step) for step in batch]


class MortalModel(DyingModel):
    """Ends its process on sessions named ``die``."""
