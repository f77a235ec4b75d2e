"""When a step in flight tells what it has decoded so far."""

import time
from collections.abc import Sequence

from engine.messages import SegmentKey, Step

TELL_EVERY_S = 0.05
"""Of a batch: more often than captions can be read, and too seldom to slow the batch down."""


class Telling:
    """Which steps of a batch want progress, and whether it is time for it."""

    def __init__(self, batch: Sequence[Step]) -> None:
        self.wanted: frozenset[SegmentKey] = frozenset(step.key for step in batch if step.progress)
        self._next = time.monotonic() + TELL_EVERY_S if self.wanted else float("inf")

    def due(self) -> bool:
        """Whether to tell now; asked after each pass of the decoder."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + TELL_EVERY_S
        return True
