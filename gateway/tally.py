"""What one session adds to the metrics of all."""

from array import array

from engine.messages import SAMPLE_RATE
from engine.transcript import Event, Final, Partial, Suppressed
from gateway.metrics import Metrics

MARKS = 128
"""Arrivals of audio that are remembered: with frames of 100 ms, those of the last 12.8 s."""
MARK_EVERY_S = 0.04
"""Of audio. Frames that are shorter share a mark, whose time is that of the last of them."""


class Arrivals:
    """When a session's audio was received; nothing is allocated as it comes."""

    def __init__(self) -> None:
        self._upto_s, self._at = array("d", bytes(8 * MARKS)), array("d", bytes(8 * MARKS))
        self._newest = 0

    def note(self, upto_s: float, now: float) -> None:
        """All audio before ``upto_s`` is there."""
        newest = self._newest
        if self._upto_s[newest] - self._upto_s[newest - 1] >= MARK_EVERY_S:
            newest = self._newest = (newest + 1) % MARKS
        self._upto_s[newest], self._at[newest] = upto_s, now

    def age(self, upto_s: float, now: float) -> float:
        """Seconds since the audio before ``upto_s`` was there; at least, if that is long ago."""
        at = now
        for back in range(MARKS):
            mark = self._newest - back
            if self._upto_s[mark] < upto_s:
                break
            at = self._at[mark]
        return now - at


class Tally:
    """Counts what a session hears and says.

    Args:
        start_s: audio of it that another process heard.
    """

    def __init__(self, metrics: Metrics, start_s: float) -> None:
        self._metrics, self._arrivals = metrics, Arrivals()
        self._shown_s = self._heard_s = self._counted_s = start_s

    def heard(self, audio_s: float, now: float) -> None:
        """A frame came; with it, so much audio was received in all."""
        self._heard_s = audio_s
        self._arrivals.note(audio_s, now)

    def add_up(self) -> None:
        """Brings the metric of all up to date: not with each frame, as it has a lock."""
        self._metrics.audio_s.inc(self._heard_s - self._counted_s)
        self._counted_s = self._heard_s

    def says(self, event: Event, now: float) -> None:
        """An event is about to be queued for the client."""
        match event:
            case Partial(end=end):
                self._partial(end / SAMPLE_RATE, now)
            case Final(revised=revised):
                self._metrics.revised.inc(revised)
            case Suppressed(reason=reason):
                self._metrics.suppressed.labels(reason).inc()

    def _partial(self, end_s: float, now: float) -> None:
        self._metrics.lag.observe(max(0.0, self._heard_s - end_s))
        if end_s > self._shown_s:  # a step that tells its progress shows its audio many times
            self._shown_s = end_s
            self._metrics.partial_s.observe(self._arrivals.age(end_s, now))
