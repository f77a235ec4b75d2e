"""The only user of a WebSocket: a reader always inside ``receive``, a writer with deadlines.

What needs no wait goes past both: audio is taken as the socket's bytes come in, and a message is
written at once to a socket that has room.
"""

import asyncio
import contextlib
import contextvars
import itertools
import time
from collections.abc import MutableMapping, Sequence
from typing import Any

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.bucket import Bucket
from gateway.direct import TAKEN_AT_ONCE, take_now, text_frame, write_now
from gateway.errors import GatewayError, Internal, Replaced, SlowConsumer
from gateway.live import LiveSession
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.wire.codec import Closing, Codec, Frame
from gateway.wire.messages import Outgoing

CLOSE_WITHIN_S = 2.0
"""For the client's answer to our close frame, and for the farewell to one that was replaced."""

log = structlog.get_logger("gateway.connection")


async def send_frame(websocket: WebSocket, frame: Frame) -> None:
    """Sends what a codec wrote."""
    if isinstance(frame, str):
        await websocket.send_text(frame)
    else:
        await websocket.send_bytes(frame)


class Connection:
    """Serves one accepted socket: what the client says to its session, what that says to it."""

    def __init__(
        self, websocket: WebSocket, codec: Codec, live: LiveSession,
        settings: Settings, metrics: Metrics, first: Sequence[Outgoing] = (),
    ) -> None:  # fmt: skip
        """
        Args:
            first: sent before all else; the session's journal has it already.
        """
        self._websocket, self._codec, self.live = websocket, codec, live
        self._settings, self._metrics = settings, metrics
        self._first = first
        most = settings.max_messages_per_s
        self._bucket = Bucket(most, most, time.monotonic())
        self.close_code = 1006
        """What it ended with; 1006 (RFC 6455, 7.4.1): without a close frame."""
        self.lost = False
        """Whether it ended without a word of the client's or of ours."""
        self._replaced, self._over = asyncio.Event(), asyncio.Event()
        self._reading = False
        """Whether the reader is at a message, behind which others must wait."""
        self._write_now = write_now(websocket.scope)

    async def run(self) -> None:
        """Until the connection is over. What its tasks log, a library too, names the session."""
        with structlog.contextvars.bound_contextvars(session=self.live.session.id):
            await self._run()

    async def _run(self) -> None:
        name = self.live.session.id
        named = contextvars.copy_context()
        take_now(self._websocket.scope, lambda data: named.run(self._take_now, data))
        reader = asyncio.create_task(self._read(), name=f"read-{name}")
        writer = asyncio.create_task(self._write(), name=f"write-{name}")
        replaced = asyncio.create_task(self._replaced.wait(), name=f"replaced-{name}")
        try:
            await asyncio.wait({reader, writer, replaced}, return_when=asyncio.FIRST_COMPLETED)
            if writer.done():  # our close frame is out; the reader sees the client's answer
                await asyncio.wait({reader}, timeout=CLOSE_WITHIN_S)
        finally:
            for task in (reader, writer, replaced):
                task.cancel()
            results = await asyncio.gather(reader, writer, replaced, return_exceptions=True)
            self._report([error for error in results if isinstance(error, Exception)])
            self._over.set()
        if self._replaced.is_set():
            await self._say_farewell(Replaced())

    async def replace(self) -> None:
        """Ends it in favour of a newer one; returns when it is done with the session."""
        self.lost = True  # the session itself goes on, or waits for somebody else
        self._replaced.set()
        await self._over.wait()

    def _report(self, errors: list[Exception]) -> None:
        for error in errors:
            log.error("connection_failed", session=self.live.session.id, exc_info=error)

    async def _say_farewell(self, error: GatewayError) -> None:
        # In the close frame alone: a message would take a number that is another's by now.
        self._metrics.errors.labels(error.code).inc()
        closing = self._codec.closing(error)
        await self._close(Closing(closing.code, error.message), CLOSE_WITHIN_S)

    # Client to session

    async def _read(self) -> None:
        live = self.live
        for number in itertools.count(1):
            self._reading = False
            message = await self._websocket.receive()  # does not wait for what is there already
            self._reading = True
            if number % TAKEN_AT_ONCE == 0:
                await asyncio.sleep(0)
            if message["type"] == "websocket.disconnect":
                if not live.outbox.closed:
                    # uvicorn: with a reason, if only an empty one, where there was a close frame.
                    self.lost = "reason" not in message
                    self.close_code = 1006 if self.lost else int(message["code"])
                return
            now = time.monotonic()
            live.touch(now)
            if not live.outbox.closed:
                await self._take(message)
            await self._pace(now)

    async def _pace(self, now: float) -> None:
        """Reads a sender of too many messages no faster than is allowed: TCP holds it back."""
        if wait_s := self._bucket.wait_s(now):
            self._metrics.paced_s.inc(wait_s)
            await asyncio.sleep(wait_s)
        self._bucket.take()

    async def _take(self, message: MutableMapping[str, Any]) -> None:
        try:
            text = message.get("text")
            for each in self._codec.decode(message["bytes"] if text is None else text):
                await self.live.take(each)
        except Exception as error:
            self._fail(error)

    def _take_now(self, data: bytes) -> bool:
        """Takes a binary message that nothing must be waited for, and that need not wait itself."""
        live, now = self.live, time.monotonic()
        if self._reading or self._over.is_set() or not live.takes_at_once(len(data)):
            return False
        if not self._bucket.took(now):
            return False
        live.touch(now)
        if not live.outbox.closed:
            try:
                for each in self._codec.decode(data):
                    live.take_now(each)
            except Exception as error:
                self._fail(error)
        return True

    def _fail(self, error: Exception) -> None:
        if isinstance(error, GatewayError):
            self.live.fail(error)
        else:
            log.error("message_failed", session=self.live.session.id, exc_info=error)
            self.live.fail(Internal())

    # Session to client

    async def _write(self) -> None:
        live = self.live
        for message in self._first:
            if not await self._sent(message):
                return
        while True:
            item = await live.outbox.get()
            if isinstance(item, int):
                self.close_code = item
                await self._close(
                    Closing(item, live.closing.reason), self._settings.write_timeout_s
                )
                return
            live.told(item)
            if not await self._sent(item):
                return

    async def _sent(self, message: Outgoing) -> bool:
        """Whether the network took a message in time."""
        self._metrics.events.labels(message.type).inc()
        frames = self._codec.encode(message)
        if self._written_now(frames):
            return True
        try:
            async with asyncio.timeout(self._settings.write_timeout_s):
                for frame in frames:
                    await send_frame(self._websocket, frame)
        except TimeoutError:
            # The socket takes nothing any more, not even a close frame.
            self._metrics.errors.labels(SlowConsumer.code).inc()
            self.close_code, self.lost = SlowConsumer.close_code, True
            return False
        except (WebSocketDisconnect, RuntimeError):
            return False  # the client is gone; the reader knows it too
        return True

    def _written_now(self, frames: Sequence[Frame]) -> bool:
        """Whether the socket had room for a message that is one text."""
        if self._write_now is None or len(frames) != 1 or not isinstance(frames[0], str):
            return False
        return self._write_now(text_frame(frames[0]))

    async def _close(self, closing: Closing, within_s: float) -> None:
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(within_s):
                await self._websocket.close(closing.code, closing.reason)
