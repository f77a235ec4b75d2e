"""How often segments may be stepped, from what steps cost. Pure."""

from engine.messages import SAMPLE_RATE

TARGET_LOAD = 0.8
"""Share of the time that partial steps may fill; the rest is for finals and for bursts."""
SMOOTHING = 0.1
WAIT_SMOOTHING = 0.25
UNNOTICED_WAIT_S = 0.1
"""For which audio may wait to be heard: many that send at once wait for each other, at any load."""
CADENCE_A_WAIT = 8
"""Seconds between two partial steps of a segment, at least, for each second beyond that."""
MAX_BEARABLE = 10 * SAMPLE_RATE
"""A cadence beyond this would spare a full process nothing more."""
DOUBT = 0.01
"""Variance of batch sizes, in steps², below which they do not tell what a step costs."""


class Pacing:
    """Stretches every session's cadence evenly when the steps of all do not fit (P6).

    What a batch takes is taken for a straight line over its steps. Where a batch costs much by
    itself, as on a GPU, small ones say little of how many steps there is room for: to go by their
    mean would stretch the cadence, which makes them smaller still. While batches do not differ it
    is all the batch's own: should that be too little, they grow, and tell.
    """

    def __init__(self) -> None:
        self._seconds = self._steps = 0.0
        """Of a recent batch, smoothed."""
        self._variance = self._covariance = 0.0
        """Of steps, and of steps and seconds."""
        self._wait_s = 0.0
        """Of audio, smoothed."""

    def observe(self, seconds: float, steps: int) -> None:
        """A batch of ``steps`` took ``seconds``."""
        share = SMOOTHING if self._steps else 1.0
        longer, more = seconds - self._seconds, steps - self._steps
        self._seconds += share * longer
        self._steps += share * more
        self._variance = (1 - share) * (self._variance + share * more * more)
        self._covariance = (1 - share) * (self._covariance + share * more * longer)

    def observe_wait(self, seconds: float) -> None:
        """Audio has been waiting so long to be heard; to be told at regular intervals."""
        self._wait_s += WAIT_SMOOTHING * (seconds - self._wait_s)

    @property
    def bearable(self) -> int:
        """Samples between two steps of a segment that leave time to listen, in a process that
        cannot do both; 0: it can."""
        late_s = max(0.0, self._wait_s - UNNOTICED_WAIT_S)
        return min(MAX_BEARABLE, int(CADENCE_A_WAIT * late_s * SAMPLE_RATE))

    @property
    def step_cost_s(self) -> float:
        """Seconds of the model's time per step; a large batch, which says more, counts for more."""
        return self._seconds / self._steps if self._steps else 0.0

    @property
    def further_step_s(self) -> float:
        """Seconds by which one step more makes a batch longer."""
        slope = self._covariance / (self._variance + DOUBT)
        return min(self.step_cost_s, max(0.0, slope))

    @property
    def batch_cost_s(self) -> float:
        """Seconds that a batch takes beyond its steps."""
        return self._seconds - self._steps * self.further_step_s

    def needed_s(self, seconds: float, steps: int, max_batch: int) -> float:
        """Of what a batch took, what its steps would have taken as part of full ones.

        All of it while batches do not differ: nothing is known of what others would have borne.
        """
        if self._variance <= DOUBT:
            return seconds
        borne = self.batch_cost_s * max(0.0, 1 - steps / max_batch)
        return min(seconds, max(0.0, seconds - borne))

    def cadence(self, active: int, batches: int) -> int:
        """Samples between two steps of a segment that ``active`` open segments can all have.

        Args:
            batches: in so few one step of each of them can be taken.
        """
        seconds = batches * self.batch_cost_s + active * self.further_step_s
        return int(seconds / TARGET_LOAD * SAMPLE_RATE)
