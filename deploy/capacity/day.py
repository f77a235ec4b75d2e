"""A day of a cell, second by second: who comes, how many copies there are, how late partials are.

A cell is one pool of copies with its gateways. Its autoscaler has the rules of
`engine.cluster.demand`, which is imported; what a copy can do comes from `copies`.
"""

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from deploy.capacity import inputs
from engine.cluster.demand import Demand, Look
from engine.pacing import TARGET_LOAD

HOUR_S, DAY_S = 3600, 86_400
LECTURES_AT = (9, 10, 11, 13, 14, 15)
"""Hours at which many sessions begin within a minute."""
GAP_S = 0.01
"""Between two batches: half of the engine's `LISTEN_EVERY_S`, in the mean."""
CADENCE_S, MAX_CADENCE_S = 2.0, 10.0

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cell:
    """What serves. Times in seconds."""

    row_s: float
    """Of a copy for each step: by lanes, if it has several."""
    fixed_s: float = 0.0
    """For each batch of a copy."""
    steps_per_open_s: float = inputs.STEPS_PER_OPEN_S
    """At the cadence of 2 s, finals and those begun in vain among them."""
    duty: float = 0.7
    least: int = 1
    most: int = 64
    boot_s: float = 300.0
    reload_s: float = 60.0
    failure_days: float = 30.0
    one_by_one: bool = False
    """Whether a copy is asked for when the last one serves. The engine asks for all at once."""
    by_time: bool = False
    """Whether load is the time at work. The engine takes what steps would take in full batches."""

    def cadence_s(self, sessions: float, copies: int) -> float:
        """Between two partials, when all share what there is."""
        if not copies:
            return math.inf
        needed = sessions * self.duty * self.steps_per_open_s * CADENCE_S * self.row_s / copies
        return max(CADENCE_S, needed / TARGET_LOAD)

    def steps(self, sessions: float, copies: int) -> float:
        """A second, of all."""
        stretch = CADENCE_S / self.cadence_s(sessions, copies)
        return sessions * self.duty * self.steps_per_open_s * stretch

    def load(self, sessions: float, copies: int) -> float:
        """Share of their time that copies need, as their pool sees it."""
        if not copies:
            return 1.0
        rate = self.steps(sessions, copies) / copies
        if not (self.by_time and self.fixed_s):
            return min(1.0, rate * self.row_s)
        if rate * (self.fixed_s + GAP_S) < 1:
            return min(1.0, rate * (self.fixed_s + self.row_s))
        takes = (self.fixed_s + self.row_s * rate * GAP_S) / max(1e-9, 1 - self.row_s * rate)
        return takes / (takes + GAP_S)


@dataclass(frozen=True, slots=True)
class Visits:
    """Who comes. Sessions of half an hour in the median, and lectures of 50 minutes."""

    peak: float
    """Sessions in the afternoon that come one by one."""
    lectures: float
    """Sessions that begin within the same minute, at each of `LECTURES_AT`."""
    median_s: float = 1800.0
    sigma: float = 0.8


@dataclass(slots=True)
class Day:
    """What happened, for each second."""

    arrived: int = 0
    refused: int = 0
    finished: int = 0
    failures: int = 0
    sessions: list[int] = field(default_factory=list)
    copies: list[int] = field(default_factory=list)
    """That take steps."""
    paid: list[int] = field(default_factory=list)
    """These, and those that start."""
    cadence: list[float] = field(default_factory=list)

    def stretched(self, beyond_s: float) -> float:
        """Share of the day's session seconds with a longer cadence."""
        there, cadence = np.array(self.sessions, float), np.array(self.cadence)
        return float(there[cadence > beyond_s].sum() / max(1.0, there.sum()))

    @property
    def copy_hours(self) -> float:
        """To be paid."""
        return sum(self.paid) / HOUR_S


def shape(second: int) -> float:
    """How much is going on, from 0.1 at night to 1 at 14:00."""
    hour = second / HOUR_S
    return 0.1 + 0.9 * max(0.0, math.sin(math.pi * (hour - 7) / 14)) * (7 <= hour <= 21)


def arrivals(visits: Visits, rng: np.random.Generator) -> Counts:
    """Of each second, shape ``(DAY_S,)``."""
    mean_s = visits.median_s * math.exp(visits.sigma**2 / 2)
    rate = np.array([visits.peak / mean_s * shape(second) for second in range(DAY_S)])
    for hour in LECTURES_AT:
        rate[hour * HOUR_S : hour * HOUR_S + 60] += visits.lectures / 60
    return rng.poisson(rate)


def _leave(visits: Visits, rng: np.random.Generator, second: int, many: int) -> Counts:
    """When so many who came just now go."""
    lengths = rng.lognormal(math.log(visits.median_s), visits.sigma, many)
    lecture = visits.lectures and second % HOUR_S < 60 and second // HOUR_S in LECTURES_AT
    if lecture:
        lengths = rng.normal(3000, 180, many)
    return second + np.maximum(1, lengths).astype(np.int64)


class _Copies:
    """As many as `engine.cluster.pool.Pool` would have."""

    def __init__(self, cell: Cell) -> None:
        self._cell, self.serving = cell, cell.least
        self._wanted = cell.least
        self._starting: deque[int] = deque()
        """When each will serve, soonest first."""
        self._demand = Demand()

    @property
    def paid(self) -> int:
        """Copies for which there is a machine, or one on its way."""
        return self.serving + len(self._starting)

    def lose(self, second: int) -> None:
        """One dies; it is replaced where it was."""
        self.serving -= 1
        self._start(second + int(self._cell.reload_s))

    def _start(self, at: int) -> None:
        self._starting = deque(sorted((*self._starting, at)))

    def follow(self, second: int, sessions: int) -> None:
        """A second passes."""
        while self._starting and self._starting[0] <= second:
            self._starting.popleft()
            self.serving += 1
        cell = self._cell
        if self.serving and not (cell.one_by_one and self.serving != self._wanted):
            look = Look(
                self.serving, cell.load(sessions, self.serving),
                cell.steps(sessions, self.serving), round(sessions * cell.duty),
            )  # fmt: skip
            self._want(self._demand.wanted(look, self._wanted, second), second)

    def _want(self, wanted: int, second: int) -> None:
        if self._cell.one_by_one:
            wanted = min(wanted, self._wanted + 1)
        wanted = max(self._cell.least, min(self._cell.most, wanted))
        for _ in range(wanted - self._wanted):
            self._start(second + int(self._cell.boot_s))
        self.serving -= max(0, self._wanted - wanted)  # it drains, in a minute at most
        self._wanted = wanted


def simulate(cell: Cell, visits: Visits, seed: int = 0, seconds: int = DAY_S) -> Day:
    """A day, from midnight. The same for the same seed."""
    rng, day, copies = np.random.default_rng(seed), Day(), _Copies(cell)
    coming = arrivals(visits, rng)
    fails = rng.random(seconds)
    leaving: Counts = np.zeros(seconds + 1, np.int64)
    sessions = 0
    for second in range(seconds):
        gone = int(leaving[second])
        sessions -= gone
        day.finished += gone
        if fails[second] < copies.serving / (cell.failure_days * DAY_S):
            copies.lose(second)
            day.failures += 1
        copies.follow(second, sessions)
        many = int(coming[second])
        room = _room(cell, copies.serving, sessions, many)
        day.arrived += many
        day.refused += many - room
        if room:
            np.add.at(leaving, np.minimum(_leave(visits, rng, second, room), seconds), 1)
            sessions += room
        day.sessions.append(sessions)
        day.copies.append(copies.serving)
        day.paid.append(copies.paid)
        day.cadence.append(min(cell.cadence_s(sessions, copies.serving), 60.0) if sessions else 2.0)
    return day


def _room(cell: Cell, copies: int, sessions: int, many: int) -> int:
    """How many of those who come are let in, by `max_cadence_ms`."""
    while many and cell.cadence_s(sessions + many, copies) > MAX_CADENCE_S:
        many -= 1
    return many
