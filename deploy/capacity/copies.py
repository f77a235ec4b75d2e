"""What a batch of steps takes on a copy of the model."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from deploy.capacity import inputs
from deploy.capacity.inputs import Gpu, Model

CHUNK_S = 2.0


class Work(NamedTuple):
    """One step."""

    audio_s: float
    final: bool
    cold: bool
    """Whether its segment's caches are elsewhere, or gone."""


class Copy(Protocol):
    """A copy of a model."""

    @property
    def lanes(self) -> int:
        """Batches that it takes side by side."""
        ...

    @property
    def max_batch(self) -> int:
        """Steps of a batch, at most."""
        ...

    def seconds(self, batch: Sequence[Work], beside: int) -> float:
        """Of a batch, while so many other lanes are at work."""
        ...


@dataclass(frozen=True, slots=True)
class Embedded:
    """The embedded model on two cores, by the measured table."""

    lanes: int = 2
    max_batch: int = 1

    def seconds(self, batch: Sequence[Work], beside: int) -> float:
        """See `Copy`. A step that has a core for itself half of the time takes the mean."""
        total = 0.0
        for work in batch:
            if work.final:
                row = inputs.FINAL_BESIDE_S if beside else inputs.FINAL_ALONE_S
            else:
                row = inputs.PARTIAL_BESIDE_S if beside else inputs.PARTIAL_ALONE_S
            total += _between(inputs.STEP_LENGTHS_S, row, work.audio_s)
        return total


@dataclass(frozen=True, slots=True)
class Constant:
    """Takes the same for each step, and for each batch: a double, of which more is known."""

    step_s: float
    batch_s: float = 0.0
    lanes: int = 1
    max_batch: int = 1

    def seconds(self, batch: Sequence[Work], beside: int) -> float:
        """See `Copy`."""
        return self.batch_s + self.step_s * len(batch)


@dataclass(frozen=True, slots=True)
class OnGpu:
    """Qwen3-ASR on one GPU, derived."""

    gpu: Gpu
    model: Model
    lanes: int = 1
    max_batch: int = 1024
    passes: int = 14
    """Of the longest row of a batch."""

    def seconds(self, batch: Sequence[Work], beside: int) -> float:
        """See `Copy`."""
        return self.fixed_s + sum(map(self._row_s, batch))

    @property
    def fixed_s(self) -> float:
        """What a batch takes beyond its rows: host, launches, and the weights once a pass."""
        reading = self.model.weights_gb * 1e9 / self.gpu.bytes
        return self.gpu.batch_s + self.passes * (self.gpu.pass_s + reading)

    def _row_s(self, work: Work) -> float:
        table = self.model.cold if work.cold else self.model.warm
        chunk = min(len(table), max(1, -(-work.audio_s // CHUNK_S)))
        cache = inputs.ROW_PASSES * inputs.ROW_CACHE_GB * 1e9 / self.gpu.bytes
        return table[int(chunk) - 1] * 1e9 / self.gpu.flops + cache + self.gpu.row_s

    @property
    def row_s(self) -> float:
        """Of a warm step, in the mean over a segment of 28 s."""
        ages = [CHUNK_S * (i + 1) for i in range(len(self.model.warm))]
        return sum(self._row_s(Work(age, False, False)) for age in ages) / len(ages)

    def steps_per_s(self, within_s: float) -> float:
        """In batches that take at most ``within_s``, one behind the other."""
        rows = min(self.max_batch, int((within_s - self.fixed_s) / self.row_s))
        return max(0, rows) / (self.fixed_s + rows * self.row_s)

    @property
    def open_segments(self) -> int:
        """Whose keys and values fit beside the weights."""
        return int((inputs.CACHE_GB - self.model.weights_gb) / inputs.KEPT_CACHE_GB)


def _between(at: Sequence[float], values: Sequence[float], x: float) -> float:
    """Linear between points; beyond the last as steep as before it."""
    i = min(len(at) - 1, max(1, bisect_left(at, x)))
    share = (max(x, at[0]) - at[i - 1]) / (at[i] - at[i - 1])
    return values[i - 1] + share * (values[i] - values[i - 1])
