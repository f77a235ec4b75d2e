"""How often segments may be stepped, from what steps cost. Pure."""

from engine.messages import SAMPLE_RATE

TARGET_LOAD = 0.8
"""Share of the time that partial steps may fill; the rest is for finals and for bursts."""
SMOOTHING = 0.1


class Pacing:
    """Stretches every session's cadence evenly when the steps of all do not fit (P6)."""

    def __init__(self) -> None:
        self._seconds = self._steps = 0.0
        """Of a recent batch, smoothed."""

    def observe(self, seconds: float, steps: int) -> None:
        """A batch of ``steps`` took ``seconds``."""
        share = SMOOTHING if self._steps else 1.0
        self._seconds += share * (seconds - self._seconds)
        self._steps += share * (steps - self._steps)

    @property
    def step_cost_s(self) -> float:
        """Seconds of the model's time per step; a large batch, which says more, counts for more."""
        return self._seconds / self._steps if self._steps else 0.0

    def cadence(self, active: int) -> int:
        """Samples between two steps of a segment that ``active`` open segments can all have."""
        return int(active * self.step_cost_s / TARGET_LOAD * SAMPLE_RATE)
