"""When people speak: segments with their pauses, as the segmenter would cut them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

SPECULATE_S, ENDPOINT_S, LONGEST_S, CUT_WINDOW_S = 0.128, 0.6, 28.0, 5.0
"""Silence that begins a final, silence that ends a segment, the longest, where that is cut."""


class Pause(NamedTuple):
    """A silence in which a final is begun, and the moment when speech has gone on."""

    begun: float
    over: float


class Segment(NamedTuple):
    """Times in seconds of the session's audio."""

    start: float
    end: float
    known: float
    """When it is known to be over: behind `ENDPOINT_S` of silence, or at `LONGEST_S`."""
    pauses: tuple[Pause, ...] = ()
    """In which speech went on; the last silence is not among them."""
    silent: bool = True
    """Whether silence closed it, and not its length."""


SHIPPED_PERIOD_S = 45.4
_BOUNDS = ((0.92, 12.99), (13.17, 16.9), (17.27, 20.67), (20.95, 28.48), (28.82, 41.86))
_PAUSES = ((4.77, 5.06), (6.43, 6.69), (8.38, 8.86), (10.5, 10.82), (14.98, 15.17), (18.91, 19.01),
           (24.19, 24.67), (26.24, 26.59), (29.82, 29.98), (32.48, 32.8))  # fmt: skip


def shipped(at: float, seconds: float) -> list[Segment]:
    """`two_cities` played from ``at`` on, cut as the segmenter cut it (measured)."""
    found = []
    for start, end in _BOUNDS:
        within = tuple(Pause(at + a, at + b) for a, b in _PAUSES if start < a < end)
        known = end - SPECULATE_S + ENDPOINT_S
        if known < seconds:
            found.append(Segment(at + start, at + end, at + known, within))
    return found


def speech(rng: np.random.Generator, at: float, seconds: float, duty: float) -> list[Segment]:
    """Somebody who speaks from ``at`` on for so long: lognormal stretches, exponential silences.

    The median stretch is 5 s and one in eight is longer than 15 s; a pause in which a final is
    begun in vain comes every 3.4 s, as in the shipped recording.
    """
    found: list[Segment] = []
    mean = 5.0 * math.exp(0.9**2 / 2)
    clock = at + rng.uniform(0, 2)
    while clock < at + seconds:
        end = clock + max(0.6, rng.lognormal(math.log(5.0), 0.9))
        found += _cut(clock, end, _pauses(rng, clock, end), rng)
        clock = end + ENDPOINT_S + rng.exponential(mean * (1 - duty) / duty)
    return [segment for segment in found if segment.known < at + seconds]


def steady(rng: np.random.Generator, at: float, seconds: float) -> list[Segment]:
    """Somebody who never pauses."""
    return [
        segment for segment in _cut(at, at + seconds + LONGEST_S, (), rng) if not segment.silent
    ]


def _pauses(rng: np.random.Generator, start: float, end: float) -> list[Pause]:
    found, clock = [], start
    while (clock := clock + rng.exponential(3.4)) < end - 0.6:
        found.append(Pause(clock, clock + rng.uniform(0.1, 0.45)))
        clock += 0.6
    return found


def _cut(
    start: float, end: float, pauses: Sequence[Pause], rng: np.random.Generator
) -> list[Segment]:
    """A stretch of speech in segments of at most `LONGEST_S`, cut in their last seconds."""
    found = []
    while end - start > LONGEST_S:
        cut = start + LONGEST_S - rng.uniform(0, CUT_WINDOW_S)
        within = tuple(p for p in pauses if start < p.begun < cut)
        found.append(Segment(start, cut, start + LONGEST_S, within, silent=False))
        start = cut
    within = tuple(p for p in pauses if start < p.begun < end)
    found.append(Segment(start, end + SPECULATE_S, end + ENDPOINT_S, within))
    return found
