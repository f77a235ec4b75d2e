"""Models that are none, for batches of a known cost in a cluster; and parts of its actors."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.messages import Step, StepResult
from tests.engine.models.doubles import DyingModel, OneWordASecondModel

STEP_S = 0.02


@dataclass
class Remote:
    """A method as Ray has them, of an actor that is in this process."""

    remote: Callable[..., Awaitable[Any]]


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
