"""The async worker: audio to speech frames, due segments to micro-batches, results to events."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from engine.batching import Batch, Batching
from engine.checkpoint import Checkpoint
from engine.messages import ModelInfo, Pcm, Progress, SegmentKey, StepResult, samples_to_ms
from engine.pacing import Pacing
from engine.runner import Runner, StepFailedError
from engine.segment import Due, StepKind, StreamOptions
from engine.speech_session import Isolated, Listener, SpeechSession
from engine.stream import Stream
from engine.transcript import Event, Final, Finished, Overloaded
from engine.unheard import Unheard
from engine.vad import FRAME, VoiceDetector

LISTEN_EVERY_S = 0.02
"""Audio that arrives within so long is heard together: large batches are cheap, small ones are not.
Audio that comes after a pause is heard at once."""
FRAMES_A_PASS = 224
"""Frames that the detector hears before others have their turn: it holds the event loop for,
some 20 µs each."""
PACE_EVERY_S = 0.25
"""How often the cadence is worked out, which looks at all sessions."""
STRETCH_TO_SAY = 1.5
"""A cadence this many times longer than wanted, or than last said, is worth a warning."""

log = structlog.get_logger("engine.worker")


@dataclass(slots=True)
class BatchReport:
    """What one micro-batch cost, for metrics."""

    keys: list[SegmentKey]
    kinds: list[StepKind]
    results: list[StepResult]
    seconds: float
    """From the batch's being taken to its results."""
    waited_s: list[float]
    """Of each step: since its segment was due."""
    busy_s: float
    """The model's own time since the report before."""


@dataclass(slots=True)
class Observers:
    """Callbacks for metrics."""

    batch: Callable[[BatchReport], None] = field(default=lambda report: None)
    failure: Callable[[int], None] = field(default=lambda steps: None)


class Worker:
    """Owns all streams. One task listens for speech, one gives steps to the model's lanes."""

    def __init__(
        self, runner: Runner, detector: VoiceDetector, observers: Observers | None = None
    ) -> None:
        self._runner, self._detector = runner, detector
        runner.tell = self._progressed
        self._observe = observers or Observers()
        self._sessions: dict[str, SpeechSession] = {}
        self._pacing = Pacing()
        self._audio, self._work = asyncio.Event(), asyncio.Event()
        self._unheard = Unheard()
        self._batching = Batching(runner)
        self._cadence = 0
        self._busy_s = 0.0
        """The runner's, when last looked at."""
        self._in_flight: dict[SegmentKey, tuple[SpeechSession, Due]] = {}
        """Of steps that want progress."""
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Loads the model and begins.

        Raises:
            ModelUnavailableError: the model cannot be had here.
        """
        await self._runner.start()
        self._tasks = [
            asyncio.create_task(self._listen(), name="listen"),
            asyncio.create_task(self._take_steps(), name="steps"),
        ]

    async def close(self) -> None:
        """Ends all at once; sessions get no more events."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._runner.close()

    @property
    def model(self) -> ModelInfo:
        """What the model says of itself."""
        return self._runner.info

    @property
    def alive(self) -> bool:
        """Whether all tasks run; if not, only a new process will do."""
        return not any(task.done() for task in self._tasks)

    @property
    def ready(self) -> bool:
        """Whether steps can be taken now."""
        return self.alive and self._runner.ready

    @property
    def model_copies(self) -> int:
        """Copies of the model that take steps now."""
        return self._runner.copies if self._runner.ready else 0

    @property
    def runner_restarts(self) -> int:
        """How often the model's process was started anew."""
        return self._runner.restarts

    @property
    def cadence(self) -> int:
        """Samples between two partial steps of a segment, if one more session spoke."""
        speaking = sum(session.stream.speaking for session in self._sessions.values())
        return self._affordable(speaking + 1)

    @property
    def cadence_in_force(self) -> int:
        """Samples between two partial steps of a segment now, at least."""
        return self._cadence

    @property
    def lanes(self) -> int:
        """Batches that all copies of the model take side by side."""
        return self.model_copies * self._runner.info.lanes

    @property
    def unheard_s(self) -> float:
        """For how long audio has been waiting to be heard: where it is the process that is full and
        not the model, the queue of steps does not tell."""
        return self._unheard.waited_s

    @property
    def queue_depth(self) -> int:
        """Sessions with a segment that is due and in no batch yet."""
        return self._batching.depth

    def open(self, id: str, options: StreamOptions, listener: Listener) -> SpeechSession:
        """A new session. ``id`` must never have been used before."""
        return self._open(Stream(id, options, self._runner.info), listener)

    def go_on(
        self, id: str, options: StreamOptions, listener: Listener, checkpoint: Checkpoint,
        start: int,
    ) -> SpeechSession:  # fmt: skip
        """A new session that goes on with another; see `Stream.resumed`."""
        stream = Stream.resumed(id, options, self._runner.info, checkpoint, start)
        return self._open(stream, listener)

    def _open(self, stream: Stream, listener: Listener) -> SpeechSession:
        id = stream.id
        assert id not in self._sessions
        session = SpeechSession(stream, self, listener)
        self._sessions[id] = session
        self._batching.enter(session)
        return session

    def audio_arrived(self, session: SpeechSession) -> None:
        """There is something to hear."""
        self._unheard.arrived(session)
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
        session.stream.release()
        self._unheard.leave(session)
        if self._sessions.pop(session.stream.id, None) is not None:
            self._batching.leave(session)
            for segment in session.stream.unfinished:
                self._runner.forget(SegmentKey(session.stream.id, segment))

    # Listening

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        began = paced = 0.0
        while True:
            await asyncio.sleep(began + LISTEN_EVERY_S - loop.time())
            began = loop.time()
            self._hear(self._next_frames())
            if began >= paced + PACE_EVERY_S:
                paced = began
                self._pace()
            self._work.set()
            if self._unheard:  # more than fits into a pass, or somebody sends faster than real time
                began = 0.0
                continue
            self._audio.clear()
            # Where there is a cadence it may fall, and somebody be due, without any audio.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PACE_EVERY_S if self._cadence else None):
                    await self._audio.wait()

    def _next_frames(self) -> list[tuple[SpeechSession, float, Pcm]]:
        """Of the sessions whose turn it is, and since when they wait; marks reached take effect."""
        heard, room = [], FRAMES_A_PASS * FRAME
        while self._unheard and room > 0:
            session, since = self._unheard.next()
            self._batching.stir(session)
            with Isolated(session):  # a mark may be reached, and much said
                frames = session.stream.frames()
                if len(frames):
                    heard.append((session, since, frames))
                    room -= len(frames)
        return heard

    def _hear(self, heard: list[tuple[SpeechSession, float, Pcm]]) -> None:
        # Not in a thread of its own: the two would take turns at the interpreter's lock, dozens of
        # times in a pass; with 500 sessions that took 0.2 of a core, and made all wait for both.
        verdicts = self._detector.listen(
            [pcm for _, _, pcm in heard], [session.stream.vad for session, _, _ in heard]
        )
        for (session, since, pcm), probabilities in zip(heard, verdicts, strict=True):
            waiting = False
            with Isolated(session):
                waiting = session.stream.hear(probabilities, len(pcm))
            if waiting and not session.over:
                self._unheard.heard_part(session, since, len(pcm))

    def _pace(self) -> None:
        active = sum(
            session.stream.speaking for session in self._sessions.values() if not session.background
        )
        self._pacing.observe_wait(self.unheard_s)
        before, self._cadence = self._cadence, max(self._affordable(active), self._pacing.bearable)
        if self._cadence < before:  # who was not due may be
            for session in self._sessions.values():
                if session.stream.speaking:
                    self._batching.stir(session)
        self._say_cadence(self._cadence)

    def _affordable(self, active: int) -> int:
        full = -(-active // self.model.max_batch)
        return self._pacing.cadence(active, max(full, min(active, self.lanes)))

    # Stepping

    async def _take_steps(self) -> None:
        async with asyncio.TaskGroup() as in_flight:
            while True:
                while batch := self._batching.next(self._cadence):
                    in_flight.create_task(self._step(batch))
                self._work.clear()
                await self._work.wait()

    async def _step(self, batch: Batch) -> None:
        telling = {
            step.key: of for step, of in zip(batch.steps, batch.items, strict=True) if step.progress
        }
        self._in_flight |= telling
        began = time.perf_counter()
        try:
            results = await self._runner.step(batch.steps)
        except StepFailedError as error:
            log.warning("batch_failed", reason=str(error), steps=len(batch.steps))
            self._observe.failure(len(batch.steps))
            for session, due in batch.items:
                with Isolated(session):
                    session.stream.fail(due)
        else:
            self._commit(batch, results, time.perf_counter() - began)
        finally:
            for key in telling:
                del self._in_flight[key]
            self._batching.done(batch)
            self._work.set()  # there is a free lane, and what became due meanwhile

    def _commit(self, batch: Batch, results: list[StepResult], seconds: float) -> None:
        # The model's own time: on the way there and back a batch waits for the event loop.
        busy_s, self._busy_s = self._runner.busy_s - self._busy_s, self._runner.busy_s
        if not batch.background:
            lanes = self._runner.copies * self.model.lanes
            self._pacing.observe(busy_s / lanes, len(results))
        keys, kinds = [step.key for step in batch.steps], [due.kind for _, due in batch.items]
        self._observe.batch(BatchReport(keys, kinds, results, seconds, batch.waited_s, busy_s))
        for (session, due), result in zip(batch.items, results, strict=True):
            with Isolated(session):
                session.stream.commit(due, result)

    def _progressed(self, progress: Progress) -> None:
        step = self._in_flight.get(progress.key)
        if step is not None:  # else it took too long, and was given up
            session, due = step
            with Isolated(session):
                session.stream.progress(due, progress)

    def _say_cadence(self, cadence: int) -> None:
        for session in list(self._sessions.values()):
            if not session.stream.speaking or session.background:
                continue
            wanted = session.stream.options.settle  # auto may stretch to the default unsaid
            if cadence < wanted * STRETCH_TO_SAY:
                session.said_cadence = 0
            elif cadence > session.said_cadence * STRETCH_TO_SAY:
                session.said_cadence = cadence
                with Isolated(session):
                    session.stream.events.append(Overloaded(samples_to_ms(cadence)))
