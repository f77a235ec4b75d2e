"""Where a session begins that another process cannot go on with. Pure."""

from dataclasses import dataclass
from math import gcd

from engine.checkpoint import Checkpoint
from engine.messages import SAMPLE_RATE, samples_to_ms
from engine.vad import VadState
from gateway.wire.resuming import ResumePoint

LEAD = SAMPLE_RATE // 10
"""Audio replayed before what is needed, where it is resampled: a filter's memory, and to spare."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a session goes on from what a client still has."""

    checkpoint: Checkpoint
    start: int
    """The first sample that the engine is given."""
    next_sample: int
    """The same at the client's rate: what it is to send next."""
    seen: int
    """Segments whose finals the client has, and is not told again."""
    gap_ms: tuple[int, int] | None
    """Bounds of audio that neither side has any more."""


def replay_from(needed: int, sample_rate: int) -> int:
    """The client's sample from which a replay gives all from sample ``needed`` on as it was.

    Resampling gives the same samples again if it begins where a sample of either rate lies.
    """
    if sample_rate == SAMPLE_RATE:
        return needed
    at = max(0, needed - LEAD)
    grid = SAMPLE_RATE // gcd(SAMPLE_RATE, sample_rate)
    return (at - at % grid) * sample_rate // SAMPLE_RATE


def begin_at(point: ResumePoint, sample_rate: int) -> Beginning:
    """The best that can be made of what the client has."""
    checkpoint, kept = point.checkpoint, point.from_sample
    if checkpoint is None and not kept:  # all is there, from the very beginning
        checkpoint = Checkpoint(VadState().tobytes())
    wanted = replay_from(checkpoint.start, sample_rate) if checkpoint is not None else 0
    if checkpoint is not None and (kept is None or kept <= wanted):
        return Beginning(checkpoint, _inside(wanted, sample_rate), wanted, point.last_segment, None)
    kept = kept or 0
    start = _inside(kept, sample_rate)
    over = _known_over(point)
    gap_ms = None
    if over is not None and start > over:
        gap_ms = samples_to_ms(over), samples_to_ms(start)
    return Beginning(_silence_until(start, point), start, kept, point.last_segment, gap_ms)


def _known_over(point: ResumePoint) -> int | None:
    """All before this sample is in finals or was silence; None: that cannot be known."""
    if point.checkpoint is not None:
        return point.checkpoint.start
    return None if point.last_segment else 0


def _inside(sample: int, sample_rate: int) -> int:
    """The first sample at 16 kHz that is not before the client's ``sample``."""
    return -(-sample * SAMPLE_RATE // sample_rate)


def _silence_until(start: int, point: ResumePoint) -> Checkpoint:
    """All before ``start`` is over: it was silence, or is in finals, or is lost."""
    known = point.checkpoint
    return Checkpoint(
        vad=VadState().tobytes(),
        at=start,
        start=start,
        floor=start,
        segments=max(point.last_segment, known.closed if known else 0),
        finalizes=known.finalizes if known else 0,
        tail=known.tail if known else "",
    )
