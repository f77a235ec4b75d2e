"""A session as long as it lives: what it has to say, its journal, its deadlines. No socket.

A `gateway.connection.Connection` serves it; when that is lost, another may take it up.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import structlog

from engine.messages import Audio
from engine.segment import StreamOptions
from engine.speech_session import SpeechSession
from engine.transcript import CloseReason, Event, SegmentFailed
from engine.worker import Worker
from gateway.access import Grant
from gateway.continuing import begin_at
from gateway.errors import (
    GatewayError,
    IdleTimeout,
    Internal,
    InvalidAudio,
    MaxDuration,
    QuotaExceeded,
    Replaced,
    ShuttingDown,
    SlowConsumer,
    Unauthorized,
    as_fields,
)
from gateway.journal import Journal
from gateway.metrics import Metrics
from gateway.outbox import Outbox
from gateway.rooms import Publication
from gateway.session import Identity, Session
from gateway.settings import Settings
from gateway.stream_decoder import StreamDecoder
from gateway.tally import Tally
from gateway.wire.codec import Closing, Codec, Opening
from gateway.wire.messages import (
    AudioFrame,
    ClientMessage,
    Configure,
    Done,
    ErrorMessage,
    Outgoing,
    Reply,
    Stop,
)
from gateway.wire.options import IN_CONTAINERS, parse_options
from gateway.wire.resuming import ResumePoint

SLICE_BYTES = 65_536
"""Audio is decoded so much at a time: a whole large frame would hold the event loop too long."""

log = structlog.get_logger("gateway.live")


class LiveSession:
    """One session of this process, whoever is connected to it."""

    def __init__(
        self, id: str, opening: Opening, grant: Grant,
        worker: Worker, settings: Settings, metrics: Metrics,
    ) -> None:  # fmt: skip
        """
        Args:
            id: of a new session; one that another process lost keeps its own.

        Raises:
            InvalidOption: an option is wrong, or the model cannot do what the options ask for.
        """
        self._worker, self._settings, self._metrics = worker, settings, metrics
        self._codec, self._grant = opening.codec, grant
        self._speech: SpeechSession | None = None
        self._container: StreamDecoder | None = None
        """Of audio that comes as a recording."""
        longest_ms = worker.model.max_segment_ms
        options = parse_options(opening.options, max_segment_ms=longest_ms)
        # Whatever the protocol: what the token fixes is in force.
        options = parse_options(grant.fixed_options, base=options, max_segment_ms=longest_ms)
        point = opening.rejoining and opening.rejoining.point
        self._beginning = begin_at(point, options.sample_rate) if point else None
        self._secret = secrets.token_urlsafe(16) if opening.resumable else None
        self.key = (point.session if point else id, secrets.randbits(48))
        """Id and epoch, which names this process's part of the session."""
        self.session = Session(
            Identity(*self.key, self._secret),
            options=options,
            model=worker.model,
            limits={
                "max_frame_bytes": settings.max_frame_bytes,
                "max_control_bytes": settings.max_control_bytes,
                "max_backlog_ms": settings.max_backlog_ms,
                "idle_timeout_ms": round(settings.idle_timeout_s * 1000),
                "max_session_ms": round(settings.max_session_s * 1000),
            },
            open_speech=self._open_speech,
            beginning=self._beginning,
        )
        self._audio_s = self.session.audio_s
        """Received, in seconds."""
        self._tally = Tally(metrics, self._audio_s)
        self.outbox = Outbox(settings.outbox_events, settings.outbox_bytes)
        self._journal = Journal(settings.outbox_events, settings.outbox_bytes)
        self._publication: Publication | None = None
        self.claims = 0
        """Connections that wanted to take it up."""
        self._opened_at = self._heard_at = time.monotonic()
        self._greeted = self._failed = False
        self.closing = Closing(1000)
        """What the connection closes with after ``done``, or because of an error."""
        self._end_by: float | None = None
        """When a session that was ended by us must be over."""

    def greet(self) -> None:
        """The first message."""
        self._metrics.opened.inc()
        self.put(self.session.ready())

    def _open_speech(self, options: StreamOptions) -> SpeechSession:
        name, begin = self.engine_name, self._beginning
        if begin is None:
            self._speech = self._worker.open(name, options, self)
        else:
            self._speech = self._worker.go_on(name, options, self, begin.checkpoint, begin.start)
        return self._speech

    @property
    def engine_name(self) -> str:
        """The engine must see no name twice, but a session may go on in the process it left."""
        return "{}-{:x}".format(*self.key)

    @property
    def figures(self) -> dict[str, int | float]:
        """What is told of it when it is over."""
        return {
            "audio_s": round(self.session.audio_s, 3),
            "open_s": round(time.monotonic() - self._opened_at, 3),
            **self.session.totals,
        }

    # Resuming

    @property
    def ending(self) -> bool:
        """Whether its end was asked for, by whoever, and only its last words are awaited."""
        return self._failed or self.session.ended_by is not None

    @property
    def worth_keeping(self) -> bool:
        """Whether somebody who lost the connection may come back for it."""
        return self._secret is not None and self._speech is not None and not self._failed

    def may_resume(self, point: ResumePoint, grant: Grant) -> bool:
        """Whether it is the same client's, and all that was missed is still there."""
        return (
            self.worth_keeping
            and self._secret is not None
            and secrets.compare_digest(self._secret, point.secret)
            and grant.owner == self._grant.owner
            and dict(grant.fixed_options) == dict(self._grant.fixed_options)
            and self._journal.since(point.last_seq) is not None
            and (point.from_sample or 0) <= self.session.next_sample
        )

    def resume(self, point: ResumePoint, codec: Codec, grant: Grant) -> list[Outgoing]:
        """What a new connection is sent first; `may_resume` has said yes."""
        self.touch(time.monotonic())
        self._codec, self._grant = codec, grant
        self._drop_container()  # the client begins another where this one's audio ends
        missed = self._journal.since(point.last_seq)
        assert missed is not None
        return [self.session.resumed(), *missed]

    def hears(self, options: Mapping[str, Any]) -> bool:
        """Whether audio as these options say is what it takes."""
        known = self.session.options
        wanted = (
            options.get("encoding", known.encoding),
            options.get("sample_rate", known.sample_rate),
        )
        return (str(wanted[0]), str(wanted[1])) == (known.encoding, str(known.sample_rate))

    def _drop_container(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    # Client to session

    def touch(self, now: float) -> None:
        """The client is there; ``now`` is `time.monotonic`'s."""
        self._heard_at = now

    def takes_at_once(self, size: int) -> bool:
        """Whether nothing need be waited for to take what a frame of ``size`` bytes says."""
        return size <= SLICE_BYTES and self.session.options.encoding not in IN_CONTAINERS

    async def take(self, message: ClientMessage | Reply) -> None:
        """Takes what a client's frame asked for.

        Raises:
            GatewayError: what was wrong with it.
        """
        if isinstance(message, AudioFrame) and not self.takes_at_once(len(message.pcm)):
            self._greeted = True
            await self._hear(message.pcm)
            return
        if isinstance(message, Stop) and self._container is not None:
            await self._hear_all(self._container.flush())
        self.take_now(message)

    def take_now(self, message: ClientMessage | Reply) -> None:
        """The same, where `takes_at_once`.

        Raises:
            GatewayError: what was wrong with it.
        """
        self._greeted = True
        if isinstance(message, AudioFrame):
            self._hear_now(message)
        elif isinstance(message, Reply):
            self.put([message])
        else:
            if isinstance(message, Configure):
                self._grant.check_options(message.options, message.id)
            self.put(self.session.receive(message))

    async def _hear(self, data: bytes) -> None:
        if self.session.options.encoding not in IN_CONTAINERS:
            await self._hear_slices(data)
            return
        if self._container is None:
            self._container = StreamDecoder()
        await self._hear_all(self._container.decode(data))

    async def _hear_all(self, pieces: AsyncGenerator[Audio, None]) -> None:
        async with aclosing(pieces):
            try:
                async for piece in pieces:
                    await self._hear_slices(piece.tobytes())
                    if self.outbox.closed or self.session.ended_by is not None:
                        return  # nobody knows how much more there is in it
            except InvalidAudio as error:  # what follows would not be understood either
                self._end(error, "stop")

    async def _hear_slices(self, pcm: bytes) -> None:
        self.session.check_audio(pcm)
        for at in range(0, len(pcm), SLICE_BYTES):
            if at:
                await asyncio.sleep(0)
            self._hear_now(AudioFrame(pcm[at : at + SLICE_BYTES]))

    def _hear_now(self, frame: AudioFrame) -> None:
        session, before_s = self.session, self._audio_s
        if answers := session.receive(frame):
            self.put(answers)
        self._audio_s = session.audio_s
        if self._audio_s == before_s:
            return  # what comes after the end is not heard
        self._tally.heard(self._audio_s, time.monotonic())
        try:
            self._grant.spend(self._audio_s - before_s)
        except QuotaExceeded as error:
            self._end(error, "stop")

    def fail(self, error: GatewayError) -> None:
        """Tells the client; ends the session unless the error is recoverable."""
        self._metrics.errors.labels(error.code).inc()
        message = ErrorMessage(**as_fields(error))
        if error.recoverable:
            self.put([message])
        else:
            self._failed = True
            self.unpublish()
            # What waits for a slow reader would never be read: the error itself must get through.
            slow = isinstance(error, SlowConsumer)
            self.closing = self._codec.closing(error)
            self.outbox.close(self.closing.code, last=message, drop=slow)

    # Session to client

    def hear(self, events: Sequence[Event]) -> None:
        """Takes the engine's events."""
        events = self.session.news(events)
        now = time.monotonic()
        for event, message in zip(events, self.session.translate(events), strict=True):
            self._tally.says(event, now)
            if isinstance(event, SegmentFailed):
                log.warning("segment_failed", session=self.session.id, segment=event.segment)
            self.put([message])
            if self._publication is not None:
                self._publication.say(message)
            if isinstance(message, Done):
                self.unpublish()
                self.outbox.close(self.closing.code)

    def broken(self) -> None:
        """The engine's part of the session failed."""
        log.exception("session_broken", session=self.session.id)
        self.fail(Internal())

    def told(self, message: Outgoing) -> None:
        """Keeps what is being sent, should it get lost."""
        if self._secret is not None:
            self._journal.add(message)

    def put(self, messages: Sequence[Outgoing]) -> None:
        """Queues what is to be said."""
        try:
            for message in messages:
                self.outbox.put(message)
        except SlowConsumer as error:
            self.fail(error)

    # Its room

    def publish(self, publication: Publication) -> None:
        """What it says from now on is said there too, over whichever connection it is heard."""
        self._publication = publication

    def unpublish(self) -> None:
        """Gives its room up, if it has one: another session may speak there at once."""
        if self._publication is not None:
            self._publication.end()
            self._publication = None

    def lose_room(self) -> None:
        """A newer session speaks in its room. Who reads it there would not read this one."""
        self.fail(Replaced("Another session was published in this room: go on with that one."))

    # Deadlines and the end

    def check_deadlines(self, now: float) -> None:
        """Ends what was silent or open for too long; ``now`` is `time.monotonic`'s."""
        self._tally.add_up()
        if self.outbox.closed:
            return
        if self._end_by is not None:
            if now > self._end_by:
                self.fail(ShuttingDown() if self.session.ended_by == "drain" else Internal())
            return
        silent, patience = now - self._heard_at, self._codec.keepalive
        if not self._greeted and patience.first_s is not None and silent > patience.first_s:
            self.fail(IdleTimeout("No message came after the connection: send audio at once."))
        elif self.session.ended_by is not None:
            return
        elif patience.idle_s is not None and silent > patience.idle_s:
            self._end(IdleTimeout(), "stop")
        elif now - self._opened_at > self._settings.max_session_s:
            self._end(MaxDuration(), "stop")
        elif self._grant.revoked:
            self._end(Unauthorized("The key was withdrawn: ask the operator for another."), "stop")

    def drain(self) -> None:
        """Finalizes; finals and ``done`` go out, then the close says to come back elsewhere."""
        self._end(ShuttingDown(), "drain")

    def _end(self, error: GatewayError, reason: CloseReason) -> None:
        """Tells why, finalizes, and closes with the error's code: what was said is not lost."""
        self._metrics.errors.labels(error.code).inc()
        self.put([ErrorMessage(**as_fields(error))])
        self.closing = self._codec.closing(error)
        self._end_by = time.monotonic() + self._settings.drain_s
        self.session.end(reason)

    def end(self, close_code: int) -> None:
        """Nobody is or will be connected any more: frees what it holds, and reports."""
        if self._speech is not None:
            self._speech.discard()
        self.unpublish()
        self._drop_container()
        self._tally.add_up()
        self._metrics.closed.labels(close_code).inc()
        self._metrics.conflated.inc(self.outbox.conflated)
        log.info(
            "session_closed",
            session=self.session.id,
            close_code=close_code,
            key=self._grant.owner,
            **self.figures,
        )
