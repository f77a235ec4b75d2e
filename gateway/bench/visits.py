"""Who comes when, for how long, and how they leave. Pure: the same seed gives the same visits.

Four ideas that combine: places that are taken one after the other and kept, or arrivals at random;
until a recording's end, or for a time; whole, or in sessions of some length, each followed by the
next; and endings of several kinds.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gateway.bench.plan import Ending, Kind, Visit

SHORTEST_S = 1.0
LONGEST = 5.0
"""A session of random length is at most so many means long."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a load goes over time. Times are of audio, which is real time."""

    sessions: int
    """At a time, once all have come."""
    over_s: float
    """In which they come, evenly."""
    for_s: float
    """How long after that the load is kept up; without `kept`, the audio of each session."""
    kept: bool = False
    """Whether who has come stays until the end of the load."""
    per_min: float | None = None
    """Sessions that come at random in a minute; those `sessions` are not there then. In the first
    `over_s` they become more, evenly, until they are so many."""
    length_s: float | None = None
    """Of a session, after which the next takes its place. None: it stays."""
    fixed: bool = False
    """Whether all sessions are so long. Otherwise that is the mean of exponential lengths."""
    vanish: float = 0.0
    """The share of sessions that do not say goodbye."""
    resume: float = 0.0
    """The share of sessions that lose their connection and come back, of those that can."""
    seed: int = 0

    @property
    def ends_s(self) -> float:
        """When the load is over."""
        return self.over_s + self.for_s


def visits(shape: Shape, kinds: Sequence[Kind], frame_ms: int) -> tuple[Visit, ...]:
    """All sessions, in the order they come.

    Args:
        kinds: in the share of their weights; those that weigh the same take turns.
    """
    rng = random.Random(shape.seed)  # noqa: S311  (to be repeated, not to be kept secret)
    stays = sorted(_stays(shape, rng))
    each = zip(stays, turns([kind.weight for kind in kinds]), strict=False)
    return tuple(
        Visit(at_s, _frames(length_s, frame_ms), turn, _ending(shape, kinds[turn], rng))
        for (at_s, length_s), turn in each
    )


def _stays(shape: Shape, rng: random.Random) -> Iterator[tuple[float, float]]:
    """When each session comes, and how long it speaks."""
    lengths = _lengths(shape, rng)
    if shape.per_min is not None:
        for at_s in arrivals(shape.per_min / 60, shape.over_s, shape.ends_s, rng):
            yield at_s, min(lengths(), shape.ends_s - at_s)
        return
    for place in range(shape.sessions):
        at_s = place * shape.over_s / shape.sessions
        yield from relay(at_s, shape.ends_s, lengths) if shape.kept else [(at_s, shape.for_s)]


def relay(
    at_s: float, until_s: float, lengths: Callable[[], float]
) -> Iterator[tuple[float, float]]:
    """One place from a time on: when each session takes it, and how long it speaks."""
    while until_s - at_s >= SHORTEST_S:
        length_s = lengths()
        rest_s = until_s - at_s - length_s
        if rest_s < SHORTEST_S:
            length_s += rest_s  # nobody comes for the moment that would be left
        yield at_s, length_s
        at_s += length_s


def arrivals(
    rate: float, over_s: float, until_s: float, rng: random.Random
) -> Iterator[float]:  # fmt: skip
    """A Poisson process of ``rate`` a second, which begins at nothing and has that from ``over_s``
    on. Who would come in the last `SHORTEST_S` stays away."""
    at_s = 0.0
    while (at_s := at_s + rng.expovariate(rate)) <= until_s - SHORTEST_S:
        if at_s >= over_s or rng.random() < at_s / over_s:
            yield at_s


def _lengths(shape: Shape, rng: random.Random) -> Callable[[], float]:
    mean_s = shape.length_s
    if mean_s is None:
        return lambda: shape.ends_s
    if shape.fixed:
        return lambda: mean_s
    return lambda: min(max(rng.expovariate(1 / mean_s), SHORTEST_S), LONGEST * mean_s)


def turns(weights: Sequence[float]) -> Iterator[int]:
    """Indices without end, each as often as it weighs, as evenly as can be: who has had the least
    for its weight is next. Equal weights take turns in order."""
    had = [0] * len(weights)
    while True:
        turn = min(range(len(weights)), key=lambda i: ((had[i] + 1) / weights[i], i))
        had[turn] += 1
        yield turn


def _frames(length_s: float, frame_ms: int) -> int:
    return max(1, round(length_s * 1000 / frame_ms))


def _ending(shape: Shape, kind: Kind, rng: random.Random) -> Ending:
    drawn = rng.random()
    if drawn < shape.vanish:
        return "vanish"
    if drawn < shape.vanish + shape.resume and kind.protocol == "native":
        return "resume"
    return "stop"
