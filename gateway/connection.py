"""The only user of a WebSocket: a reader always inside ``receive``, a writer with deadlines."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from engine.messages import SAMPLE_RATE, Audio
from engine.segment import StreamOptions
from engine.speech_session import SpeechSession
from engine.transcript import CloseReason, Event, Final, Partial, Suppressed
from engine.worker import Worker
from gateway.access import grant_of
from gateway.bucket import Bucket
from gateway.errors import (
    GatewayError,
    IdleTimeout,
    Internal,
    InvalidAudio,
    MaxDuration,
    QuotaExceeded,
    ShuttingDown,
    SlowConsumer,
    Unauthorized,
    as_fields,
)
from gateway.metrics import Metrics
from gateway.outbox import Outbox
from gateway.session import Session
from gateway.settings import Settings
from gateway.stream_decoder import StreamDecoder
from gateway.wire.codec import Closing, Codec, Frame
from gateway.wire.messages import AudioFrame, Configure, Done, ErrorMessage, Outgoing, Reply, Stop
from gateway.wire.options import IN_CONTAINERS, SessionOptions, parse_options

SLICE_BYTES = 65_536
"""Audio is decoded so much at a time: a whole large frame would hold the event loop too long."""
CLOSE_WITHIN_S = 2.0
"""For the client's answer to our close frame."""

log = structlog.get_logger("gateway.connection")


async def send_frame(websocket: WebSocket, frame: Frame) -> None:
    """Sends what a codec wrote."""
    if isinstance(frame, str):
        await websocket.send_text(frame)
    else:
        await websocket.send_bytes(frame)


class Connection:
    """One accepted socket and its session, from ``ready`` to the close."""

    def __init__(
        self, websocket: WebSocket, codec: Codec, id: str, options: SessionOptions,
        worker: Worker, settings: Settings, metrics: Metrics,
    ) -> None:  # fmt: skip
        """
        Args:
            id: the session's.

        Raises:
            InvalidOption: the model cannot do what the options ask for.
        """
        self._grant = grant_of(websocket.scope)
        # Whatever the protocol: what the token fixes is in force.
        options = parse_options(
            self._grant.fixed_options, base=options, max_segment_ms=worker.model.max_segment_ms
        )
        self._websocket, self._codec = websocket, codec
        self._worker, self._settings, self._metrics = worker, settings, metrics
        self._session = Session(
            id=id,
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
        )
        self._speech: SpeechSession | None = None
        self._container: StreamDecoder | None = None
        """Of audio that comes as a recording."""
        self._outbox = Outbox(settings.outbox_events, settings.outbox_bytes)
        self._opened_at = self._heard_at = time.monotonic()
        most = settings.max_messages_per_s
        self._bucket = Bucket(most, most, self._opened_at)
        self._greeted = False
        self._closing = Closing(1000)
        """What the connection closes with after ``done``, or because of an error."""
        self._end_by: float | None = None
        """When a session that was ended by us must be over."""
        self._close_code = 1006
        """What the connection ended with; 1006 (RFC 6455, 7.4.1): without a close frame."""

    def _open_speech(self, options: StreamOptions) -> SpeechSession:
        self._speech = self._worker.open(self._session.id, options, self)
        return self._speech

    async def run(self) -> None:
        """Serves the accepted socket until the connection is over."""
        self._metrics.opened.inc()
        self._put(self._session.ready())
        reader = asyncio.create_task(self._read(), name=f"read-{self._session.id}")
        writer = asyncio.create_task(self._write(), name=f"write-{self._session.id}")
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if writer.done():  # our close frame is out; the reader sees the client's answer
                await asyncio.wait({reader}, timeout=CLOSE_WITHIN_S)
        finally:
            if self._speech is not None:
                self._speech.discard()
            if self._container is not None:
                self._container.close()
            for task in (reader, writer):
                task.cancel()
            results = await asyncio.gather(reader, writer, return_exceptions=True)
            self._report([error for error in results if isinstance(error, Exception)])

    def _report(self, errors: list[Exception]) -> None:
        for error in errors:
            log.error("connection_failed", session=self._session.id, exc_info=error)
        self._metrics.closed.labels(self._close_code).inc()
        self._metrics.conflated.inc(self._outbox.conflated)
        log.info(
            "session_closed",
            session=self._session.id,
            close_code=self._close_code,
            key=self._grant.owner,
            audio_s=round(self._session.audio_s, 3),
            open_s=round(time.monotonic() - self._opened_at, 3),
            **self._session.totals,
        )

    # Client to session

    async def _read(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                if not self._outbox.closed:
                    self._close_code = int(message.get("code", 1006))
                return
            self._heard_at = time.monotonic()
            if not self._outbox.closed:
                await self._take(message)
            await self._pace()

    async def _pace(self) -> None:
        """Reads a sender of too many messages no faster than is allowed: TCP holds it back."""
        if wait_s := self._bucket.wait_s(self._heard_at):
            self._metrics.paced_s.inc(wait_s)
            await asyncio.sleep(wait_s)
        self._bucket.take()

    async def _take(self, message: Any) -> None:
        try:
            text = message.get("text")
            parsed = self._codec.decode(message["bytes"] if text is None else text)
            self._greeted = True
            for each in parsed:
                if isinstance(each, AudioFrame):
                    await self._hear(each.pcm)
                elif isinstance(each, Stop) and self._container is not None:
                    await self._hear_all(self._container.flush())
                    self._put(self._session.receive(each))
                elif isinstance(each, Reply):
                    self._put([each])
                else:
                    if isinstance(each, Configure):
                        self._grant.check_options(each.options, each.id)
                    self._put(self._session.receive(each))
        except GatewayError as error:
            self.fail(error)
        except Exception:
            log.exception("message_failed", session=self._session.id)
            self.fail(Internal())

    async def _hear(self, data: bytes) -> None:
        if self._session.options.encoding not in IN_CONTAINERS:
            await self._hear_pcm(data)
            return
        if self._container is None:
            self._container = StreamDecoder()
        await self._hear_all(self._container.decode(data))

    async def _hear_all(self, pieces: AsyncGenerator[Audio, None]) -> None:
        async with aclosing(pieces):
            try:
                async for piece in pieces:
                    await self._hear_pcm(piece.tobytes())
                    if self._outbox.closed or self._session.ended_by is not None:
                        return  # nobody knows how much more there is in it
            except InvalidAudio as error:  # what follows would not be understood either
                self._end(error, "stop")

    async def _hear_pcm(self, pcm: bytes) -> None:
        before = self._session.audio_s
        self._session.check_audio(pcm)
        for at in range(0, len(pcm), SLICE_BYTES):
            if at:
                await asyncio.sleep(0)
            self._put(self._session.receive(AudioFrame(pcm[at : at + SLICE_BYTES])))
        heard_s = self._session.audio_s - before
        self._metrics.audio_s.inc(heard_s)
        try:
            if heard_s:  # what comes after the end is not heard
                self._grant.spend(heard_s)
        except QuotaExceeded as error:
            self._end(error, "stop")

    def fail(self, error: GatewayError) -> None:
        """Tells the client; ends the connection unless the error is recoverable."""
        self._metrics.errors.labels(error.code).inc()
        message = ErrorMessage(**as_fields(error))
        if error.recoverable:
            self._put([message])
        else:
            # What waits for a slow reader would never be read: the error itself must get through.
            slow = isinstance(error, SlowConsumer)
            self._closing = self._codec.closing(error)
            self._outbox.close(self._closing.code, last=message, drop=slow)

    # Session to client

    def hear(self, events: Sequence[Event]) -> None:
        """Takes the engine's events."""
        for event, message in zip(events, self._session.translate(events), strict=True):
            self._count(event)
            self._put([message])
            if isinstance(message, Done):
                self._outbox.close(self._closing.code)

    def broken(self) -> None:
        """The engine's part of the session failed."""
        self.fail(Internal())

    def _count(self, event: Event) -> None:
        match event:
            case Partial(end=end):
                lag = self._session.audio_s - end / SAMPLE_RATE
                self._metrics.lag.observe(max(0.0, lag))
            case Final(revised=revised):
                self._metrics.revised.inc(revised)
            case Suppressed(reason=reason):
                self._metrics.suppressed.labels(reason).inc()

    def _put(self, messages: Sequence[Outgoing]) -> None:
        try:
            for message in messages:
                self._outbox.put(message)
        except SlowConsumer as error:
            self.fail(error)

    async def _write(self) -> None:
        while True:
            item = await self._outbox.get()
            try:
                async with asyncio.timeout(self._settings.write_timeout_s):
                    if isinstance(item, int):
                        self._close_code = item
                        await self._websocket.close(item, self._closing.reason)
                        return
                    await self._send(item)
            except TimeoutError:
                # The socket takes nothing any more, not even a close frame.
                self._metrics.errors.labels(SlowConsumer.code).inc()
                self._close_code = SlowConsumer.close_code
                return
            except (WebSocketDisconnect, RuntimeError):
                return  # the client is gone; the reader knows it too

    async def _send(self, message: Outgoing) -> None:
        self._metrics.events.labels(message.type).inc()
        for frame in self._codec.encode(message):
            await send_frame(self._websocket, frame)

    # Deadlines and drain

    def check_deadlines(self, now: float) -> None:
        """Ends what was silent or open for too long; ``now`` is `time.monotonic`'s."""
        if self._outbox.closed:
            return
        if self._end_by is not None:
            if now > self._end_by:
                self.fail(ShuttingDown() if self._session.ended_by == "drain" else Internal())
            return
        silent, patience = now - self._heard_at, self._codec.keepalive
        if not self._greeted and patience.first_s is not None and silent > patience.first_s:
            self.fail(IdleTimeout("No message came after the connection: send audio at once."))
        elif self._session.ended_by is not None:
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
        self._put([ErrorMessage(**as_fields(error))])
        self._closing = self._codec.closing(error)
        self._end_by = time.monotonic() + self._settings.drain_s
        self._session.end(reason)
