"""The async worker: audio to speech frames, due segments to micro-batches, results to events."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from engine.messages import Audio, ModelInfo, SegmentKey, StepResult, samples_to_ms
from engine.pacing import Pacing
from engine.runner import Runner, StepFailedError
from engine.segment import StepKind, StreamOptions
from engine.stream import Due, Stream
from engine.transcript import CloseReason, Event, Final, Finished, Overloaded
from engine.vad import VadState, VoiceDetector

STRETCH_TO_SAY = 1.5
"""A cadence this many times longer than wanted, or than last said, is worth a warning."""

log = structlog.get_logger("engine.worker")


class Listener(Protocol):
    """Whoever a session's events are for. Neither method may block."""

    def hear(self, events: Sequence[Event]) -> None:
        """Takes events, in order."""
        ...

    def broken(self) -> None:
        """The session came to an end through a fault of ours; no events follow."""
        ...


@dataclass(slots=True)
class BatchReport:
    """What one micro-batch cost, for metrics."""

    kinds: list[StepKind]
    results: list[StepResult]
    seconds: float


@dataclass(slots=True, eq=False)
class SpeechSession:
    """A gateway session's handle on the engine."""

    stream: Stream
    _worker: "Worker"
    _listener: Listener
    over: bool = False
    """No more events go out."""
    said_cadence: int = 0
    """The stretched cadence that the client was last told of; 0: none."""

    @property
    def received(self) -> int:
        """Samples pushed."""
        return self.stream.received

    @property
    def unconfirmed(self) -> int:
        """Samples pushed that are neither in a final nor silence."""
        return self.stream.unconfirmed

    def push(self, pcm: Audio) -> None:
        """Appends 16 kHz samples, shape ``(n,)``."""
        self.stream.push(pcm)
        self._worker.audio_arrived()

    def close_segment(self, reason: CloseReason, id: str | None = None) -> None:
        """Closes the open segment behind what was pushed; ``stop``, ``drain`` end the session."""
        self.stream.mark(reason, id)
        self._worker.audio_arrived()

    def update(self, options: StreamOptions) -> None:
        """Changes language, context, endpoint and partials from now on."""
        self.stream.update(options)

    def discard(self) -> None:
        """Ends the session without finals."""
        self._worker.discard(self)

    def emit(self) -> None:
        """Hands the gathered events over."""
        if self.stream.events and not self.over:
            events, self.stream.events = self.stream.events, []
            self._listener.hear(events)
            self._worker.said(self, events)

    @contextlib.contextmanager
    def isolated(self) -> Iterator[None]:
        """A fault inside ends this session and is logged; the worker and the others go on."""
        try:
            yield
            self.emit()
        except Exception:
            log.exception("session_broken", session=self.stream.id)
            self.discard()
            self._listener.broken()


@dataclass(slots=True)
class Observers:
    """Callbacks for metrics."""

    batch: Callable[[BatchReport], None] = field(default=lambda report: None)
    failure: Callable[[int], None] = field(default=lambda steps: None)


class Worker:
    """Owns all streams. One task listens for speech, one takes steps."""

    def __init__(
        self, runner: Runner, detector: VoiceDetector, observers: Observers | None = None
    ) -> None:
        self._runner, self._detector = runner, detector
        self._observe = observers or Observers()
        self._sessions: dict[str, SpeechSession] = {}
        self._pacing = Pacing()
        self._audio, self._work = asyncio.Event(), asyncio.Event()
        self._ears = ThreadPoolExecutor(1, thread_name_prefix="vad")
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Loads the model and begins.

        Raises:
            ModelUnavailableError: the model cannot be had here.
        """
        await self._runner.start()
        self._tasks = [
            asyncio.create_task(self._listen(), name="listen"),
            asyncio.create_task(self._take_steps(), name="take-steps"),
        ]

    async def close(self) -> None:
        """Ends all at once; sessions get no more events."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._runner.close()
        self._ears.shutdown(wait=True)

    @property
    def model(self) -> ModelInfo:
        """What the model says of itself."""
        return self._runner.info

    @property
    def alive(self) -> bool:
        """Whether both tasks run; if not, only a new process will do."""
        return not any(task.done() for task in self._tasks)

    @property
    def ready(self) -> bool:
        """Whether steps can be taken now."""
        return self.alive and self._runner.ready

    @property
    def runner_restarts(self) -> int:
        """How often the model's process was started anew."""
        return self._runner.restarts

    @property
    def step_cost_s(self) -> float:
        """Smoothed seconds of model time per step."""
        return self._pacing.step_cost_s

    def open(self, id: str, options: StreamOptions, listener: Listener) -> SpeechSession:
        """A new session. ``id`` must never have been used before."""
        assert id not in self._sessions
        session = SpeechSession(Stream(id, options, self._runner.info), self, listener)
        self._sessions[id] = session
        return session

    def audio_arrived(self) -> None:
        """There is something to hear."""
        self._audio.set()

    def said(self, session: SpeechSession, events: Sequence[Event]) -> None:
        """Frees what events show to be over."""
        for event in events:
            if isinstance(event, Final):
                self._runner.forget(SegmentKey(session.stream.id, event.segment))
            elif isinstance(event, Finished):
                self.discard(session)

    def discard(self, session: SpeechSession) -> None:
        """Drops a session; a step in flight comes to nothing."""
        session.over = True
        if self._sessions.pop(session.stream.id, None) is not None:
            for segment in session.stream.unfinished:
                self._runner.forget(SegmentKey(session.stream.id, segment))

    # Listening

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            heard = self._next_frames()
            if not heard:
                self._audio.clear()
                await self._audio.wait()
                continue
            frames = [frames for _, frames in heard]
            states: list[VadState] = [session.stream.vad for session, _ in heard]
            verdicts = await loop.run_in_executor(self._ears, self._detector.listen, frames, states)
            for (session, frames_heard), probabilities in zip(heard, verdicts, strict=True):
                with session.isolated():
                    for frame, probability in zip(frames_heard, probabilities, strict=True):
                        session.stream.hear(probability, len(frame))
            self._work.set()

    def _next_frames(self) -> list[tuple[SpeechSession, list[Audio]]]:
        heard = []
        for session in list(self._sessions.values()):
            with session.isolated():  # a mark may be reached, and much said
                frames = session.stream.frames()
                if frames:
                    heard.append((session, frames))
        self._work.set()
        return heard

    # Stepping

    async def _take_steps(self) -> None:
        while True:
            batch = self._due()
            if not batch:
                self._work.clear()
                await self._work.wait()
                continue
            await self._step(batch)

    def _due(self) -> list[tuple[SpeechSession, Due]]:
        """The most urgent segments that fit into one micro-batch."""
        cadence = self._pacing.cadence(sum(s.stream.speaking for s in self._sessions.values()))
        due = [(s, d) for s in self._sessions.values() for d in s.stream.due(cadence)]
        self._say_cadence(cadence)
        if not due:
            return []
        due.sort(key=lambda item: (item[1].kind.value, -item[1].new))
        # What failed before is tried alone, so that it takes nobody else down with it again.
        suspect = [item for item in due if item[1].segment.failures]
        return suspect[:1] or due[: self._runner.info.max_batch]

    async def _step(self, batch: list[tuple[SpeechSession, Due]]) -> None:
        steps = [session.stream.take(due) for session, due in batch]
        began = time.perf_counter()
        try:
            results = await self._runner.step(steps)
        except StepFailedError as error:
            log.warning("batch_failed", reason=str(error), steps=len(batch))
            self._observe.failure(len(batch))
            for session, due in batch:
                with session.isolated():
                    session.stream.fail(due)
            return
        seconds = time.perf_counter() - began
        self._pacing.observe(seconds, len(batch))
        self._observe.batch(BatchReport([due.kind for _, due in batch], results, seconds))
        for (session, due), result in zip(batch, results, strict=True):
            with session.isolated():
                session.stream.commit(due, result)

    def _say_cadence(self, cadence: int) -> None:
        for session in list(self._sessions.values()):
            if not session.stream.speaking:
                continue
            wanted = session.stream.options.settle  # auto may stretch to the default unsaid
            if cadence < wanted * STRETCH_TO_SAY:
                session.said_cadence = 0
            elif cadence > session.said_cadence * STRETCH_TO_SAY:
                session.said_cadence = cadence
                with session.isolated():
                    session.stream.events.append(Overloaded(samples_to_ms(cadence)))
