"""How often segments may be stepped, from what steps cost. Pure."""

from engine.messages import SAMPLE_RATE

TARGET_LOAD = 0.8
"""Share of the time that partial steps may fill; the rest is for finals and for bursts."""
SMOOTHING = 0.1


class Pacing:
    """Stretches every session's cadence evenly when the steps of all do not fit (P6)."""

    def __init__(self) -> None:
        self.step_cost_s = 0.0
        """Smoothed seconds of the runner's time per step."""

    def observe(self, seconds: float, steps: int) -> None:
        """A batch of ``steps`` took ``seconds``."""
        cost = seconds / steps
        if self.step_cost_s == 0.0:
            self.step_cost_s = cost
        self.step_cost_s += SMOOTHING * (cost - self.step_cost_s)

    def cadence(self, active: int) -> int:
        """Samples between two steps of a segment that ``active`` open segments can all have."""
        return int(active * self.step_cost_s / TARGET_LOAD * SAMPLE_RATE)
