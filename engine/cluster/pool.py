"""How many copies of the model there are: one Ray actor that owns the others.

All gateways with the same model share one pool, found by its name. It starts copies, sees whether
they live, and follows the load. A copy that finds no room in the cluster stays pending with Ray,
whose autoscaler brings a machine for it.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

from engine.cluster.demand import Demand, Look
from engine.messages import dumps
from engine.models.base import ModelOptions

WATCH_EVERY_S = 0.5
ANSWER_WITHIN_S = 10.0
"""A copy that does not answer for so long hangs; it answers beside its model's work."""
DRAIN_WITHIN_S = 60.0
"""Segments end within half a minute; what is left then moves."""
RETRY_AFTER_S = 5.0
SPEAKS = 3
"""Version of what gateways, pool and copies say to each other: others' pools are not shared."""
LINGER_S = 300.0
"""How long copies outlive the last gateway."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pool is to keep running."""

    model: str
    options: ModelOptions = field(default_factory=ModelOptions)
    least: int = 1
    most: int = 1
    cpus: float = 1.0
    """Of each copy, as Ray counts them."""
    gpus: float = 0.0
    linger_s: float = LINGER_S

    @property
    def name(self) -> str:
        """The same for gateways that can share copies."""
        wanted = dumps({"speaks": SPEAKS, "model": self.model, "options": asdict(self.options)})
        return f"pool-{sha256(wanted).hexdigest()[:12]}"


@dataclass(slots=True, eq=False)
class Member:
    """A copy of the model, as the pool sees it."""

    number: int
    actor: Any
    info: dict[str, Any] | None = None
    """Once it has loaded."""
    draining_since: float | None = None
    segments: int = 0
    told: dict[str, float] = field(default_factory=dict)
    """See `engine.cluster.host.ModelHost.load`."""
    lately: dict[str, float] = field(default_factory=dict)
    """By how much it is more than at the look before; empty until the second."""
    greeting: "asyncio.Future[None] | None" = None


class Pool:
    """Ray makes an actor of it. Keeps `Plan.least` … `Plan.most` copies alive."""

    def __init__(
        self, plan: Plan, start: Callable[[Plan, int], Any], stop: Callable[[Any], None],
        leave: Callable[[], None], running: dict[int, Any],
    ) -> None:  # fmt: skip
        """In a running event loop.

        Args:
            start: a new copy's actor, given its number.
            stop: ends one.
            leave: ends this actor, when nobody has asked for it for long.
            running: copies that a former life of this pool started.
        """
        self._plan, self._start, self._stop, self._leave = plan, start, stop, leave
        self._members: dict[int, Member] = {}
        self._numbers = max(running, default=0)
        self._wanted = max(plan.least, len(running))
        self._fixed = False
        self._unavailable = ""
        self._seen = time.monotonic()
        """When a gateway asked last."""
        self._start_at = 0.0
        """When the next may start, after one that could not."""
        self._demand = Demand()
        for number, actor in running.items():
            self._add(Member(number, actor))
        # At once: a pool that Ray restarted may never be asked again, and still has to end.
        self._watching = asyncio.create_task(self._watch())

    async def members(self) -> dict[str, Any]:
        """For gateways, often: ``members``, of those that can take work ``(number, actor, info,
        segments, draining)``; ``starting``, numbers of those that have not said yet that they can,
        as at the beginning of a pool's new life; ``unavailable``, why the last that was started
        cannot run."""
        self._seen = time.monotonic()
        return {
            "members": [
                (m.number, m.actor, m.info, m.segments, m.draining_since is not None)
                for m in self._loaded
            ],
            "starting": [m.number for m in self._members.values() if m.info is None],
            "unavailable": self._unavailable,
        }

    async def join(self, plan: Plan) -> None:
        """A gateway begins: its limits hold for all from now on."""
        self._plan, self._fixed = plan, False
        self._want(self._wanted)

    async def scale(self, copies: int | None) -> None:
        """Keeps so many copies from now on; None: follows the load again."""
        self._fixed, self._demand = copies is not None, Demand()
        self._want(copies if copies is not None else self._wanted)

    async def lost(self, number: int) -> None:
        """A gateway found that a copy is dead or hangs."""
        self._end(number)

    async def _watch(self) -> None:
        looked = time.monotonic()
        while time.monotonic() - self._seen < self._plan.linger_s:
            try:
                self._replenish()
            except Exception as error:  # Ray's, as a dying copy still has the name
                self._unavailable = f"no copy of the model could be started: {error}"
                self._start_at = time.monotonic() + RETRY_AFTER_S
            await asyncio.sleep(WATCH_EVERY_S)
            await asyncio.gather(*(self._look_at(m) for m in self._loaded))
            now = time.monotonic()
            self._follow(now - looked, now)
            looked = now
            self._drain(now)
        for number in list(self._members):
            self._end(number)
        self._leave()

    @property
    def _loaded(self) -> list[Member]:
        return [member for member in self._members.values() if member.info is not None]

    def _replenish(self) -> None:
        """Starts what is missing, and drains what is too much: those with least to do."""
        staying = [m for m in self._members.values() if m.draining_since is None]
        missing = self._wanted - len(staying) if time.monotonic() >= self._start_at else 0
        for _ in range(missing):
            self._numbers += 1
            self._add(Member(self._numbers, self._start(self._plan, self._numbers)))
        for _ in range(-missing):
            least = min(staying, key=lambda member: (member.info is not None, member.segments))
            staying.remove(least)
            least.draining_since = time.monotonic()
            if least.info is None:  # Ray has no room for it yet, or it loads
                self._end(least.number)

    def _add(self, member: Member) -> None:
        self._members[member.number] = member
        member.greeting = asyncio.ensure_future(self._greet(member))

    async def _greet(self, member: Member) -> None:
        """Until it has loaded, or for ever where the cluster has no room for it."""
        try:
            hello = await member.actor.hello.remote()
        except Exception:  # Ray's errors of dead actors have no common base but this
            hello = {"unavailable": "a copy of the model died while loading; see Ray's logs"}
        self._unavailable = hello.get("unavailable", "")
        member.info = hello.get("info")
        if self._unavailable:
            self._start_at = time.monotonic() + RETRY_AFTER_S
            self._end(member.number)

    async def _look_at(self, member: Member) -> None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                load = await member.actor.load.remote()
        except Exception:  # it is dead, or hangs
            self._end(member.number)
            return
        member.segments = load["segments"]
        if member.told:  # what a former life of this pool saw is not of now
            member.lately = {what: max(0.0, load[what] - member.told[what]) for what in load}
        member.told = load

    def _follow(self, seconds: float, now: float) -> None:
        serving = [m for m in self._loaded if m.lately and m.draining_since is None]
        if self._fixed or not serving:
            return
        lanes = sum(member.info["lanes"] for member in serving if member.info)
        needed, steps = (
            sum(member.lately[what] for member in serving) for what in ("needed_s", "steps")
        )
        segments = sum(member.segments for member in serving)
        look = Look(len(serving), needed / (lanes * seconds), steps / seconds, segments)
        self._want(self._demand.wanted(look, self._wanted, now))

    def _want(self, copies: int) -> None:
        self._wanted = max(self._plan.least, min(self._plan.most, copies))

    def _drain(self, now: float) -> None:
        for member in self._loaded:
            since = member.draining_since
            if since is not None and (member.segments == 0 or now - since > DRAIN_WITHIN_S):
                self._end(member.number)

    def _end(self, number: int) -> None:
        member = self._members.pop(number, None)
        if member is not None:
            self._stop(member.actor)
