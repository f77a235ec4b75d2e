"""One copy of the model, for many gateways: their batches are merged, their segments' audio kept.

Ray makes an actor of it (`engine.cluster.pool`); nothing here knows of Ray.
"""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import numpy as np

from engine.messages import (
    HeldAudio,
    Pcm,
    Progress,
    SegmentKey,
    Step,
    dumps,
    loads,
    pack_progress,
    pack_result,
    unpack_step,
)
from engine.models.base import ModelOptions, ModelUnavailableError, SpeechModel, TellingModel
from engine.models.catalog import load_model
from engine.pacing import Pacing

KEPT_FOR_S = 120.0
"""A segment that nobody asked for in so long had a gateway that died."""


@dataclass(slots=True, eq=False)
class _Call:
    """A gateway's batch."""

    steps: list[Step]
    told: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    """What it is told, the answer at the end."""

    @property
    def urgent(self) -> bool:
        return any(step.final for step in self.steps)


class _Held(HeldAudio):
    def __init__(self) -> None:
        super().__init__()
        self.used_at = 0.0


class ModelHost:
    """Owns a model, and what came of the audio of all segments that are placed here."""

    def __init__(self, model: str | SpeechModel, options: dict[str, Any]) -> None:
        self._unavailable = ""
        self._held: dict[SegmentKey, _Held] = {}
        self._waiting: list[_Call] = []
        self._running = 0
        self._needed_s, self._steps = 0.0, 0
        self._needed_share = 1.0
        """Of what the last batch took."""
        self._pacing = Pacing()
        self._counting = threading.Lock()
        self._began: list[float] = []
        """When each batch that a lane runs was begun, by `time.monotonic`."""
        self._calls: dict[SegmentKey, _Call] = {}
        """Of steps that want progress."""
        try:
            self._model = (
                load_model(model, ModelOptions(**options)) if isinstance(model, str) else model
            )
            self._model.warm_up()
        except ModelUnavailableError as error:
            self._unavailable = str(error)
            return
        self._lanes = ThreadPoolExecutor(self._model.info.lanes, thread_name_prefix="lane")

    async def hello(self) -> dict[str, Any]:
        """``info``, or ``unavailable`` with a sentence that says why."""
        if self._unavailable:
            return {"unavailable": self._unavailable}
        loop = asyncio.get_running_loop()
        if self._model.info.tells_progress:

            def tell(progress: Progress) -> None:
                loop.call_soon_threadsafe(self._tell, progress)

            cast(TellingModel, self._model).tell = tell
        return {"info": asdict(self._model.info)}

    @property
    def at_it_s(self) -> float:
        """For how long the oldest of the batches that run now has been running; 0: none runs."""
        return time.monotonic() - min(self._began) if self._began else 0.0

    async def load(self) -> dict[str, float]:
        """How full it is, told apart from how busy.

        Returns:
            ``needed_s``, seconds that lanes would have been at work so far if all batches had been
            full, those included that run now, as far as can be known; ``steps`` that were taken;
            ``segments`` that are held; ``waiting``, steps that wait for a lane.
        """
        self._drop_orphans()
        running = sum(time.monotonic() - began for began in list(self._began))
        return {
            "needed_s": self._needed_s + self._needed_share * running,
            "steps": self._steps,
            "segments": len(self._held),
            "waiting": sum(len(call.steps) for call in self._waiting),
        }

    async def step(self, steps: bytes, audio: Pcm) -> bytes:
        """Runs a batch.

        Args:
            steps: ``{"steps": [...], "lengths": [...]}``: `describe_step` of each, and how many
                samples of ``audio`` are its.
            audio: what was not sent before, of all of them, shape ``(n,)``; apart, so that Ray
                moves it without looking at it.

        Returns:
            ``{"results": [...], "seconds": …}``, the seconds from its arrival on, so with the wait
            for other gateways' batches; ``{"failed": why}``; or ``{"missing": [...]}``, the keys of
            steps whose earlier audio is not here: send the batch again, these in full.
        """
        answer = {}
        async for message in self._told(steps, audio):
            answer = message
        return dumps(answer)

    async def step_telling(self, steps: bytes, audio: Pcm) -> AsyncIterator[bytes]:
        """Like `step`, with ``{"progress": …}`` of steps that want it before the answer."""
        async for message in self._told(steps, audio):
            yield dumps(message)

    async def _told(self, steps: bytes, audio: Pcm) -> AsyncIterator[dict[str, Any]]:
        """Progress, and at the end the answer."""
        began, told = time.perf_counter(), loads(steps)
        if missing := [step["key"] for step in told["steps"] if not self._has(step)]:
            yield {"missing": missing}
            return
        ends = np.cumsum(told["lengths"])
        parts = [
            audio[end - length : end] for end, length in zip(ends, told["lengths"], strict=True)
        ]
        call = _Call([self._unpacked(*each) for each in zip(told["steps"], parts, strict=True)])
        telling = {step.key: call for step in call.steps if step.progress}
        self._calls |= telling
        self._waiting.append(call)
        self._fill_lanes()
        try:
            while "progress" in (message := await call.told.get()):
                yield message
        finally:  # also where nobody wants to know any more
            for key in telling:
                self._calls.pop(key, None)
        yield message | {"seconds": time.perf_counter() - began}

    async def forget(self, keys: list[tuple[str, int]]) -> None:
        """The segments are over."""
        for key in keys:
            self._forget(SegmentKey(*key))

    def _forget(self, key: SegmentKey) -> None:
        self._held.pop(key, None)
        self._model.forget(key)

    def _drop_orphans(self) -> None:
        oldest = time.monotonic() - KEPT_FOR_S
        for key in [key for key, held in self._held.items() if held.used_at < oldest]:
            self._forget(key)

    def _has(self, packed: dict[str, Any]) -> bool:
        held = self._held.get(SegmentKey(*packed["key"]))
        return int(packed["audio_from"]) <= (held.length if held is not None else 0)

    def _unpacked(self, packed: dict[str, Any], new: Pcm) -> Step:
        held = self._held.setdefault(SegmentKey(*packed["key"]), _Held())
        held.used_at = time.monotonic()
        return unpack_step(packed, held, new)

    def _tell(self, progress: Progress) -> None:
        call = self._calls.get(progress.key)
        if call is not None:
            call.told.put_nowait({"progress": pack_progress(progress)})

    # Lanes

    def _fill_lanes(self) -> None:
        while self._waiting and self._running < self._model.info.lanes:
            self._running += 1
            calls = self._merged()
            loop = asyncio.get_running_loop()
            loop.run_in_executor(self._lanes, self._run, calls).add_done_callback(
                lambda done, calls=calls: self._answer(calls, done)  # type: ignore[misc]
            )

    def _merged(self) -> list[_Call]:
        """The next micro-batch: calls with finals first, as many as fit."""
        self._waiting.sort(key=lambda call: not call.urgent)
        room = self._model.info.max_batch
        calls: list[_Call] = []
        while self._waiting and (not calls or len(self._waiting[0].steps) <= room):
            calls.append(self._waiting.pop(0))
            room -= len(calls[-1].steps)
        return calls

    def _run(self, calls: Sequence[_Call]) -> list[dict[str, Any]]:
        try:
            return self._stepped(calls)
        except Exception as error:  # any model's any fault
            sys.excepthook(*sys.exc_info())
            if len(calls) == 1:
                return [{"failed": f"the model raised {type(error).__name__}"}]
        # One gateway's step does not take down those of the others: each has its own turn.
        return [answer for call in calls for answer in self._run([call])]

    def _stepped(self, calls: Sequence[_Call]) -> list[dict[str, Any]]:
        steps = [step for call in calls for step in call.steps]
        began = time.monotonic()
        self._began.append(began)
        try:
            results = iter(self._model.step(steps))
        finally:
            self._began.remove(began)
        self._count(time.monotonic() - began, len(steps))
        return [{"results": [pack_result(next(results)) for _ in call.steps]} for call in calls]

    def _count(self, seconds: float, steps: int) -> None:
        with self._counting:  # lanes are threads
            self._pacing.observe(seconds, steps)
            self._steps += steps
            needed_s = self._pacing.needed_s(seconds, steps, self._model.info.max_batch)
            self._needed_s += needed_s
            self._needed_share = needed_s / seconds if seconds else 1.0

    def _answer(self, calls: Sequence[_Call], done: asyncio.Future[list[dict[str, Any]]]) -> None:
        self._running -= 1
        for call, answer in zip(calls, done.result(), strict=True):
            call.told.put_nowait(answer)
        self._fill_lanes()
