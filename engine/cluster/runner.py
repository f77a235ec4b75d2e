"""The gateway's side of a Ray cluster: segments placed on copies of the model, and moved."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from engine.cluster.pool import Plan
from engine.messages import (
    ModelInfo,
    Pcm,
    SegmentKey,
    Step,
    StepResult,
    loads,
    unpack_progress,
    unpack_result,
)
from engine.models.base import Tell, nobody
from engine.runner import ModelUnavailableError, StepFailedError
from engine.sent import Sent

REFRESH_EVERY_S = 0.5
FAILURES = 6
"""Of refreshing in a row, after which the cluster is joined anew."""
SAID_WITHIN_S = 1.0
"""What actors are told when this process ends."""
TRIES = 3
"""A copy that dies takes its batch along to another; a batch that outlives none may be at fault."""

log = structlog.get_logger("engine.cluster")


@dataclass(slots=True, eq=False)
class Copy:
    """A copy of the model, as this gateway sees it."""

    number: int
    actor: Any
    draining: bool = False
    load: int = 0
    """Segments of all gateways when last told, and ours since."""
    sent: Sent = field(default_factory=Sent)
    over: list[SegmentKey] = field(default_factory=list)
    """Segments that it has yet to forget."""


class CopyLostError(Exception):
    """A copy of the model died under a batch, or cannot be reached."""


class RayRunner:
    """See `engine.runner.Runner`. A segment stays with its copy, whose caches are warm."""

    def __init__(self, address: str, plan: Plan, *, step_within_s: float = 15.0) -> None:
        """
        Args:
            address: ``ray``: the cluster that ``RAY_ADDRESS`` names, ``auto`` for the one that this
                machine is part of; else one of its own, for as long as this process lives.
                ``ray://HOST:PORT``: another, through Ray's client.
        """
        self._address, self._plan, self._step_within_s = address, plan, step_within_s
        self._pool: Any = None
        self._info: ModelInfo | None = None
        self._copies: dict[int, Copy] = {}
        self._places: dict[SegmentKey, Copy] = {}
        self._changed = asyncio.Event()
        self._refreshing: asyncio.Task[None] | None = None
        self._saying: set[asyncio.Task[None]] = set()
        self.tell: Tell = nobody
        self.restarts = 0
        self.busy_s = 0.0

    @property
    def info(self) -> ModelInfo:
        """See `Runner`."""
        assert self._info is not None
        return self._info

    @property
    def ready(self) -> bool:
        """See `Runner`."""
        return bool(self._copies)

    @property
    def copies(self) -> int:
        """See `Runner`."""
        return max(1, len(self._copies))

    async def start(self) -> None:
        """See `Runner`."""
        await self._join()
        while not self._copies:
            unavailable = await self._refresh()
            if unavailable:
                await self.close()
                raise ModelUnavailableError(unavailable)
            await asyncio.sleep(REFRESH_EVERY_S / 5)
        self._refreshing = asyncio.create_task(self._keep_fresh(), name="cluster")

    async def _join(self) -> None:
        from engine.cluster import ray_actors

        await asyncio.to_thread(ray_actors.connect, self._address, self._plan)
        for tries_left in reversed(range(FAILURES)):
            try:
                self._pool = await asyncio.to_thread(ray_actors.pool_of, self._plan)
                await _ask(self._pool, "join", self._plan)
                return
            except Exception as error:  # one that nobody had asked for may be just leaving
                if not tries_left:
                    await asyncio.to_thread(ray_actors.leave)
                    raise ModelUnavailableError(
                        f"the Ray cluster at {self._address!r} takes no actors ({error})"
                    ) from error
                await asyncio.sleep(REFRESH_EVERY_S)

    # Placement

    def place(self, key: SegmentKey) -> int:
        """See `Runner`."""
        copy = self._places.get(key)
        if copy is None or copy.number not in self._copies:
            if not self._copies:
                return 0
            copy = self._least_loaded()
            copy.load += 1
            self._places[key] = copy
        return copy.number

    def _least_loaded(self) -> Copy:
        """A draining one only when there is no other."""
        return min(self._copies.values(), key=lambda copy: (copy.draining, copy.load))

    def forget(self, key: SegmentKey) -> None:
        """See `Runner`."""
        copy = self._places.pop(key, None)
        if copy is not None and copy.sent.pop(key, None) is not None:
            copy.load -= 1
            copy.over.append(key)

    # Steps

    async def step(self, batch: Sequence[Step]) -> list[StepResult]:
        """See `Runner`."""
        for _ in range(TRIES):
            copy = await self._copy_of(batch)
            try:
                async with asyncio.timeout(self._step_within_s):
                    answer = await self._answer(copy, batch)
            except TimeoutError:
                log.warning("step_too_slow", limit_s=self._step_within_s, steps=len(batch))
                self._lose(copy)
                raise StepFailedError("the model took too long") from None
            except CopyLostError:
                self._lose(copy)
                continue
            if "results" not in answer:
                raise StepFailedError(answer.get("failed", "a copy has lost what it was sent"))
            self.busy_s += answer["seconds"]
            return [unpack_result(result) for result in answer["results"]]
        raise StepFailedError("copies of the model died")

    async def _copy_of(self, batch: Sequence[Step]) -> Copy:
        """Where the batch goes: all of it to one copy, though its segments may be placed anew."""
        while not self._copies:
            self._changed.clear()
            await self._changed.wait()
        copy = self._copies[self.place(batch[0].key)]
        for step in batch[1:]:
            if self._places.get(step.key) is not copy:
                copy.load += 1
                self._places[step.key] = copy
        return copy

    async def _answer(self, copy: Copy, batch: Sequence[Step]) -> dict[str, Any]:
        answer = await self._call(copy, batch)
        if "missing" in answer:  # it had dropped some, or never had them; it took nothing
            copy.sent.lose(batch)
            answer = await self._call(copy, batch)
        return answer

    async def _call(self, copy: Copy, batch: Sequence[Step]) -> dict[str, Any]:
        steps, audio = copy.sent.pack(batch)
        answer: dict[str, Any] = {}
        telling = any(step.progress for step in batch)
        async for message in self._messages(copy, steps, audio, telling):
            answer = loads(message)
            if "progress" in answer:
                self.tell(unpack_progress(answer["progress"]))
        return answer

    async def _messages(
        self, copy: Copy, steps: bytes, audio: Pcm, telling: bool
    ) -> AsyncIterator[bytes]:
        from engine.cluster.ray_actors import is_disconnection, is_loss

        try:
            if not telling:
                yield await _ask(copy.actor, "step", steps, audio)
                return
            stream = copy.actor.step_telling.options(num_returns="streaming")
            async for message in stream.remote(steps, audio):
                yield await message
        except Exception as error:
            if is_disconnection(error):
                self._copies, self._places = {}, {}  # until the cluster is joined again
            if is_loss(error):
                raise CopyLostError from error
            raise StepFailedError(f"a copy of the model raised {type(error).__name__}") from error

    # Copies

    async def _keep_fresh(self) -> None:
        failures = 0
        while True:
            await asyncio.sleep(REFRESH_EVERY_S)
            try:
                await self._refresh()
            except Exception as error:  # the pool restarts; its copies go on meanwhile
                failures += 1
                if failures >= FAILURES:
                    log.warning("cluster_lost", reason=type(error).__name__)
                    await self._rejoin()
            else:
                failures = 0

    async def _rejoin(self) -> None:
        from engine.cluster import ray_actors

        self._copies, self._places = {}, {}
        with contextlib.suppress(ModelUnavailableError):  # not yet
            await asyncio.to_thread(ray_actors.leave)
            await self._join()

    async def _refresh(self) -> str:
        """Brings the copies up to date; returns why there may be none."""
        for copy in self._copies.values():
            if copy.over:
                over, copy.over = copy.over, []
                self._say(copy.actor, "forget", over)
        async with asyncio.timeout(self._step_within_s):
            told = await _ask(self._pool, "members")
        # A pool that was killed has yet to hear from copies that are well, and known here.
        now = {n: self._copies[n] for n in told["starting"] if n in self._copies}
        for number, actor, info, segments, draining in told["members"]:
            # Ray's client for other machines knows no streams.
            tells = info["tells_progress"] and not self._address.startswith("ray://")
            self._info = self._info or ModelInfo(**info | {"tells_progress": tells})
            copy = self._copies.get(number) or Copy(number, actor)
            copy.draining, copy.load = draining, max(segments, len(copy.sent))
            now[number] = copy
        self.restarts += sum(
            not copy.draining for number, copy in self._copies.items() if number not in now
        )
        self._copies = now
        self._changed.set()
        return str(told["unavailable"])

    async def scale(self, copies: int | None) -> None:
        """See `engine.cluster.pool.Pool.scale`."""
        await _ask(self._pool, "scale", copies)

    def _lose(self, copy: Copy) -> None:
        if self._copies.pop(copy.number, None) is not None:
            log.warning("copy_lost", copy=copy.number, left=len(self._copies))
            self.restarts += 1
            self._say(self._pool, "lost", copy.number)

    def _say(self, actor: Any, method: str, *arguments: Any) -> None:
        """Tells an actor, and does not wait for it to hear."""
        task = asyncio.create_task(self._call_unless_lost(actor, method, *arguments), name="say")
        self._saying.add(task)
        task.add_done_callback(self._saying.discard)

    async def _call_unless_lost(self, actor: Any, method: str, *arguments: Any) -> None:
        with contextlib.suppress(Exception):  # the actor or the way there may be lost
            async with asyncio.timeout(self._step_within_s):
                await _ask(actor, method, *arguments)

    async def close(self) -> None:
        """See `Runner`."""
        from engine.cluster import ray_actors

        if self._refreshing is not None:
            self._refreshing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._refreshing
        for copy in self._copies.values():
            self._say(copy.actor, "forget", [*copy.over, *copy.sent])
        self._copies = {}
        if self._saying:
            await asyncio.wait(self._saying, timeout=SAID_WITHIN_S)
        await asyncio.to_thread(ray_actors.leave)


async def _ask(actor: Any, method: str, *arguments: Any) -> Any:
    """See `engine.cluster.ray_actors.call`; Ray is imported only where there is a cluster."""
    from engine.cluster.ray_actors import call

    return await call(actor, method, *arguments)
