"""What the engine asks of a speech model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.messages import Audio, ModelInfo, Progress, SegmentKey, Step, StepResult


class ModelUnavailableError(Exception):
    """A model cannot be had here. The message is one sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Where and how large a model runs. Models that have no use for one leave it alone."""

    device: str = "auto"
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    dtype: str = "auto"
    """``auto``, ``float32`` or ``bfloat16``."""
    threads: int = 0
    """On a CPU; 0: all cores."""
    gpu_memory: float = 0.85
    """Share of the GPU's memory for weights and caches."""
    cpu_cache_gib: float = 1.0
    """For caches of segments when there is no GPU."""
    aligner: str | None = None
    """A forced aligner's checkpoint, name or folder; None: no word times."""


def silent_audio(samples: int) -> Audio:
    """Shape ``(samples,)``, for warming up."""
    return np.zeros(samples, np.float32)


Tell = Callable[[Progress], None]
"""Takes progress; quick, and safe from every thread that takes steps."""


class SpeechModel(Protocol):
    """Weights and arithmetic. Callers keep all state of sessions; a model may only cache (P3)."""

    @property
    def info(self) -> ModelInfo:
        """What the model says of itself."""
        ...

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        """Greedy decoding of each step's audio behind its ``forced`` tokens, in the batch's order.

        Does not modify the steps. A result does not depend on which other steps share the batch
        (P2), nor on ``draft`` where `ModelInfo.exact_drafts` says so (P4). Called from up to
        `ModelInfo.lanes` threads at once.
        """
        ...

    def forget(self, key: SegmentKey) -> None:
        """The segment is over: caches kept for it are of no use any more."""
        ...

    def warm_up(self) -> None:
        """One step on made-up audio, so that the first real one is as fast as the rest."""
        ...


class TellingModel(SpeechModel, Protocol):
    """A model whose `ModelInfo.tells_progress` is true."""

    tell: Tell
    """Called within `step`, for steps that want it, now and then. At first `nobody`."""


def nobody(progress: Progress) -> None:
    """Whom a model tells when nobody has asked."""
