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
    """Takes a fifth of a second for a batch: with more waiting it is at work all the time."""

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        time.sleep(0.2)
        return [self.answer(step) for step in batch]


class MortalModel(DyingModel):
    """Ends its process on sessions named ``die``."""
