"""The runs whose outcomes CAPACITY.md shows. Seeds are fixed: figures are always the same."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from deploy.capacity import inputs, talk
from deploy.capacity.copies import Constant, Copy, Embedded, OnGpu
from deploy.capacity.day import Cell, Day, Visits, simulate
from deploy.capacity.inputs import Traffic
from deploy.capacity.states import Outcome
from deploy.capacity.steps import Pool

WARM_UP_S, EVENT_S, RUN_S = 10.0, 20.0, 50.0
"""From when on is measured, when it happens, and until when."""
BATCHED_S = 30.0
GATEWAYS = 8
"""In the cell: an eighth of its clients hang on each."""


def replayed(sessions: int) -> Outcome:
    """What `inputs.BENCH` measured: the shipped recording, begun within 2 s, on two cores."""
    pool = Pool(Embedded(), 1)
    for i in range(sessions):
        pool.speak(talk.shipped(i * 2.0 / sessions, talk.SHIPPED_PERIOD_S))
    return pool.run(60.0)


def talking(
    model: Copy, copies: int, sessions: int, traffic: Traffic, seconds: float = RUN_S
) -> Pool:
    """A pool with people who speak independently of each other."""
    rng, pool = np.random.default_rng(1), Pool(model, copies)
    for _ in range(sessions):
        pool.speak(talk.speech(rng, 0.0, seconds, traffic.duty))
    return pool


def measured(pool: Pool, seconds: float = RUN_S) -> Outcome:
    """Without what happened while all began at once."""
    pool.run(WARM_UP_S)
    pool.outcome = Outcome()
    pool.stretched.clear()
    return pool.run(seconds)


def embedded_load(sessions: int, traffic: Traffic) -> Outcome:
    """The embedded model on two cores, for five minutes."""
    return measured(talking(Embedded(), 1, sessions, traffic, seconds=300.0), 300.0)


def batched(sessions: int) -> tuple[Outcome, list[float]]:
    """What `inputs.BATCHED` measured, for half a minute; and the cadence in force."""
    double = Constant(inputs.BATCHED_ROW_S, inputs.BATCHED_FIXED_S, max_batch=1024)
    rng, pool = np.random.default_rng(1), Pool(double, 1)
    for _ in range(sessions):
        pool.speak(talk.steady(rng, rng.uniform(0, WARM_UP_S), WARM_UP_S + BATCHED_S))
    return measured(pool, WARM_UP_S + BATCHED_S), pool.stretched


class Event(NamedTuple):
    """What befell a cell of four GPUs."""

    name: str
    outcome: Outcome
    stretched: list[float]


def befallen(sessions: int, traffic: Traffic) -> list[Event]:
    """Four GPUs of 0.6B at the low end, and what may happen to them."""
    model = OnGpu(inputs.LOW, inputs.SMALL)

    def run(name: str, pool: Pool) -> Event:
        return Event(name, measured(pool), pool.stretched)

    calm = talking(model, 4, sessions, traffic)
    dead = talking(model, 4, sessions, traffic)
    dead.lose_copy(0, EVENT_S, found_s=1.0, back_s=traffic.reload_s)
    hung = talking(model, 4, sessions, traffic)
    hung.lose_copy(0, EVENT_S, found_s=10.0, back_s=traffic.reload_s)
    drained = talking(model, 4, sessions, traffic)
    drained.drain_copy(0, EVENT_S, within_s=60.0)
    cut = talking(model, 4, sessions, traffic)
    per_s = (GATEWAYS - 1) * 1000 / inputs.Gateway().resume_elsewhere_ms
    cut.lose_gateway(1 / GATEWAYS, EVENT_S, backoff_s=1.0, per_s=per_s)
    return [
        run("nothing", calm),
        run("a copy dies; found after 1 s", dead),
        run("a copy hangs; found after 10 s", hung),
        run("a copy drains", drained),
        run("a gateway dies; its eighth comes back", cut),
    ]


class Plan(NamedTuple):
    """A cell and its day."""

    name: str
    cell: Cell
    visits: Visits
    price_hour: float
    day: Day


def days(traffic: Traffic, copy_hour: float, gpu_hour: float) -> list[Plan]:
    """A cell of embedded copies with two cores each, and one of eight GPUs at the low end."""
    base = Cell(EMBEDDED_STEP_S, duty=traffic.duty, least=2, boot_s=traffic.boot_s,
                reload_s=traffic.reload_s, failure_days=traffic.failure_days)  # fmt: skip
    low = OnGpu(inputs.LOW, inputs.SMALL)
    gpu = replace(base, row_s=low.row_s, fixed_s=low.fixed_s, least=1, most=8)
    kept = replace(base, boot_s=traffic.reload_s)
    town, hall = Visits(300, 300), Visits(2400, 2400)
    wanted = [
        ("embedded, cold machines, one by one", replace(base, one_by_one=True), town),
        ("embedded, cold machines", base, town),
        ("embedded, machines kept, one by one", replace(kept, one_by_one=True), town),
        ("embedded, machines kept", kept, town),
        ("embedded, least 32", replace(base, least=32), town),
        ("embedded, most 4: too few", replace(base, most=4), town),
        ("GPU, load by the time at work", replace(gpu, by_time=True), hall),
        ("GPU, one by one", replace(gpu, one_by_one=True), hall),
        ("GPU", gpu, hall),
        ("GPU, least 8", replace(gpu, least=8), hall),
    ]
    return [
        Plan(name, cell, visits, gpu_hour if name.startswith("GPU") else copy_hour,
             simulate(cell, visits))
        for name, cell, visits in wanted
    ]  # fmt: skip


EMBEDDED_STEP_S = 0.077
"""Of a copy with two cores for each step, by lanes, at 20 sessions: `embedded_load`."""
