"""From where a replay of a session would have to begin: what of it need not be kept. Pure."""

from collections import deque
from dataclasses import replace

from engine.checkpoint import Checkpoint
from engine.messages import ms_to_samples
from engine.segmenter import Segmenter
from engine.transcript import Confirmed

CONFIRM_EVERY = ms_to_samples(1000)
"""Of silence; behind speech, as soon as can be."""


class Confirmation:
    """Takes checkpoints as the audio is heard, and passes them on once all before them is said."""

    def __init__(self, cut: Segmenter) -> None:
        self._cut = cut
        self._passed_on = (cut.pcm.start, cut.segments)
        """Of the last one that was passed on: its start, and how many segments were closed."""
        self._waiting: deque[Checkpoint] = deque()
        """Taken, and not yet passed on: finals are missing before them. Oldest first."""
        self._taken, self._taken_at = (cut.segments, False), cut.clock
        """Of the last one taken: segments closed, whether at the end; and where."""

    @property
    def taken_before_open(self) -> bool:
        """While a segment is open: whether one was taken behind all others."""
        return self._taken[0] == self._cut.segments - 1

    def take(self) -> None:
        """Takes a checkpoint behind each segment, at the end, and now and then in silence."""
        cut = self._cut
        reached = (cut.segments - (cut.open is not None), cut.ended)
        quiet = cut.open is None and cut.clock >= self._taken_at + CONFIRM_EVERY
        if reached == self._taken and not quiet:
            return
        checkpoint = cut.checkpoint()
        if checkpoint is None:
            return
        self._taken, self._taken_at = reached, checkpoint.at
        if self._waiting and self._waiting[-1].closed == checkpoint.closed:
            self._waiting.pop()
        self._waiting.append(checkpoint)

    def pass_on(self, segments: int, tail: str) -> list[Confirmed]:
        """What is news to the client.

        Args:
            segments: whose finals were said.
            tail: the last character of them.
        """
        news = []
        while self._waiting and self._waiting[0].closed <= segments:
            checkpoint = self._waiting.popleft()
            at = (checkpoint.start, checkpoint.closed)
            if at != self._passed_on:
                self._passed_on = at
                news.append(Confirmed(checkpoint.start, replace(checkpoint, tail=tail)))
        return news
