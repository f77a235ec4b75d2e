"""How many copies of the model its load is worth. Pure: time is a parameter."""

import math
from dataclasses import dataclass
from typing import NamedTuple

BUSY, IDLE = 0.7, 0.4
"""Shares of their time that lanes would need for all steps in full batches: there are to be so many
copies that they stay below the one, and one less if the rest would stay below the other. Not of the
time that they are at work: with small batches a GPU always is, long before it is full."""
GROW_AFTER_S, SHRINK_AFTER_S = 2.0, 60.0
SMOOTHING = 0.02
"""Of a look: half a minute of them says how often segments are stepped while there is room."""


class Look(NamedTuple):
    """What copies that take segments did since the look before."""

    copies: int
    needed: float
    """Share of their time; see `BUSY`."""
    steps: float
    """A second, of all."""
    segments: int
    """That they hold."""


@dataclass(slots=True)
class _Mean:
    """Of what copies are needed for, since they became too few."""

    since: float
    total: float = 0.0
    looks: int = 0

    def add(self, worth: float) -> float:
        self.total += worth
        self.looks += 1
        return self.total / self.looks


class Demand:
    """Follows the load.

    Where the model is full, gateways stretch the cadence until all steps fit: what copies need then
    says that they are too few, but not by how many. That is told by how much less often a segment
    is stepped than while there was room.
    """

    def __init__(self) -> None:
        self._steps = self._segments = 0.0
        """Of recent looks while there was room, smoothed; their ratio counts."""
        self._crowd: _Mean | None = None
        self._idle_since: float | None = None

    def wanted(self, look: Look, wanted: int, now: float) -> int:
        """Copies that there should be, of which ``wanted`` were asked for so far.

        More are asked for at once, also while others that were have yet to come; less one by one.
        """
        if look.needed > BUSY:
            self._crowd = self._crowd or _Mean(now)
            worth = self._crowd.add(look.needed * look.copies * self._stretch(look))
            if now - self._crowd.since >= GROW_AFTER_S:
                self._crowd = None
                wanted = max(wanted, math.ceil(worth / BUSY))
        else:
            self._crowd = None
            self._learn(look)
        return wanted - self._is_idle(look, wanted, now)

    def _learn(self, look: Look) -> None:
        self._steps += SMOOTHING * (look.steps - self._steps)
        self._segments += SMOOTHING * (look.segments - self._segments)

    def _stretch(self, look: Look) -> float:
        """How many times the steps there would be if there were room for them."""
        if not (look.steps and self._segments):
            return 1.0
        return max(1.0, self._steps / self._segments * look.segments / look.steps)

    def _is_idle(self, look: Look, wanted: int, now: float) -> bool:
        crowded = look.needed * look.copies / max(1, look.copies - 1)
        if crowded >= IDLE or look.copies > wanted:  # the last that was one too many still drains
            self._idle_since = None
            return False
        self._idle_since = now if self._idle_since is None else self._idle_since
        if now - self._idle_since < SHRINK_AFTER_S:
            return False
        self._idle_since = None
        return True
