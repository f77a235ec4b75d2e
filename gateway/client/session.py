"""One session, over as many WebSockets as it takes.

What was said is kept until the server confirms it. A connection that is lost is opened again, and
what the server has not heard is said again: the transcript is that of an uninterrupted session.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from gateway.client.dialing import dial
from gateway.client.errors import (
    SessionError,
    from_close,
    from_event,
    not_the_protocol,
    stalled,
)
from gateway.client.regaining import READY_TIMEOUT_S, Regaining
from gateway.client.replay import Said
from gateway.client.track import Track
from gateway.client.wire import Codec, Event, Format, codec_of, stream_url

MAX_URL_CHARS = 4000
"""Servers and proxies take request lines of 8 KiB and more; a context may be longer, encoded."""

MAX_UNREAD_EVENTS = 1024
"""Events kept for a caller who does not iterate: minutes of captions, under 1 MB. When full,
reading stops, and the server treats us as the slow consumer that we are."""

RECONNECT_S = 30.0
"""For which a lost connection is tried again: as long as servers keep a session by default."""


class Session:
    """An open session. Made by `connect`.

    Sending and iterating are independent: two tasks may do one each. Events must be iterated over
    while audio is sent; what was confirmed is counted when it is read from the socket.
    """

    def __init__(
        self, socket: ClientConnection, codec: Codec, track: Track, regaining: Regaining
    ) -> None:
        self._socket: ClientConnection | None = socket
        """None: the connection is lost, and not yet replaced."""
        self._codec = codec
        self._track = track
        self._regaining = regaining
        self._events: asyncio.Queue[Event | None] = asyncio.Queue(MAX_UNREAD_EVENTS)
        self._last: Event = {}
        self._failure: SessionError | None = None
        self._closing = False
        self._ended = False
        self._garbage = False
        self._news = asyncio.Event()
        self._uplink = asyncio.Lock()
        self._reader = asyncio.create_task(self._read())
        self._resending: asyncio.Task[None] | None = None

    @property
    def ready(self) -> Event:
        """The server's newest `ready`: the options in force and its limits."""
        return self._track.ready

    @property
    def confirmed_samples(self) -> int:
        """Audio before this sample, at the client's rate, is in finals or was silence."""
        return self._track.confirmed_samples

    async def send(self, pcm: bytes) -> None:
        """Sends audio in the session's encoding; waits while the network is slower.

        Without a connection it is kept, up to the server's limit of unconfirmed audio, and waits
        then.

        Raises:
            SessionError: the session has ended.
        """
        while self._socket is None and self._track.replay.held >= self._track.limit:
            self._check()
            self._news.clear()
            await self._news.wait()
        self._check()
        self._track.audio(pcm)
        await self._pump()

    async def finalize(self, id: str | None = None) -> None:
        """Closes the open segment now; its ``final`` carries ``id``. Raises as `send`."""
        self._check()
        fields = {} if id is None else {"id": id}
        self._track.replay.finalize({**fields, "type": "finalize"})
        await self._pump()

    async def configure(self, **options: object) -> None:
        """Changes options; once audio was sent only a few allow it. Raises as `send`."""
        self._check()
        self._track.configure(options)
        await self._control({**options, "type": "configure"})

    async def ping(self, id: str) -> None:
        """Asks for a ``pong`` with the same ``id``; it may get lost. Raises as `send`."""
        self._check()
        await self._control({"type": "ping", "id": id})

    async def stop(self) -> None:
        """Asks for the last final and ``done``, after which iterating ends. Raises as `send`."""
        self._check()
        self._track.replay.control({"type": "stop"})
        await self._pump()

    async def wait_confirmed(self, samples: int) -> None:
        """Returns once ``samples`` samples are confirmed, or the connection has ended."""
        while self.confirmed_samples < samples and not self._ended:
            self._news.clear()
            await self._news.wait()

    async def close(self) -> None:
        """Ends the connection without waiting for the last words; iterating ends. Idempotent."""
        if self._closing:
            return await self._until_closed()
        self._closing = True
        for task in filter(None, (self._reader, self._resending)):
            task.cancel()
            await asyncio.wait([task])
        self._end()
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(None)
        if self._socket is not None:
            await self._say_farewell(self._socket)

    async def _until_closed(self) -> None:
        if self._socket is not None:
            await self._socket.wait_closed()

    async def _say_farewell(self, socket: ClientConnection) -> None:
        # Read on, or the answer to our close frame stays behind messages that nobody takes.
        draining = asyncio.create_task(_discard(socket))
        code = CloseCode.PROTOCOL_ERROR if self._garbage else CloseCode.NORMAL_CLOSURE
        try:
            await socket.close(code)
        finally:
            draining.cancel()

    async def wait_ready(self) -> None:
        """Reads up to the ``ready`` message, which it keeps. `connect` does this.

        Raises:
            SessionError: refused, or not a server of this protocol.
        """
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                # After an error the next step raises: only the close can follow it.
                async for event in self:
                    if event["type"] == "ready":
                        return
                    if event["type"] != "error":
                        break
        except TimeoutError:
            raise stalled() from None
        raise not_the_protocol()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
            StopAsyncIteration: after ``done``, or after `close`.
            SessionError: the connection ended otherwise.
        """
        event = await self._events.get()
        if event is not None:
            return event
        self._events.put_nowait(None)  # the end stays the end, for every later call
        if self._failure is not None:
            raise self._failure
        raise StopAsyncIteration

    # Sending

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._ended:
            raise _over()

    async def _control(self, message: dict[str, Any]) -> None:
        if self._socket is not None:
            await self._transmit(self._socket, message)

    async def _pump(self) -> None:
        """Sends what was said and not yet sent, in order."""
        async with self._uplink:
            while (socket := self._socket) is not None:
                said = self._track.replay.next()
                if said is None:
                    return
                await self._transmit(socket, said)

    async def _transmit(self, socket: ClientConnection, said: Said) -> None:
        codec = self._codec
        frame = codec.audio(said) if isinstance(said, bytes) else codec.control(said)
        try:
            await socket.send(frame)
        except ConnectionClosed as closed:
            failure = self._judged(closed)
            if self._may_return(failure):
                return  # the reader finds it too, and has it said again
            raise (failure or _over()) from closed

    # Hearing

    async def _read(self) -> None:
        failure = await self._listen()
        while failure is not None and self._may_return(failure):
            failure = await self._regain(failure)
            if failure is not None:
                break  # it was tried for as long as there was hope
            failure = await self._listen()
        for event in self._track.withheld:  # nobody goes on: better cut short than lost
            await self._tell(event)
        self._end(failure)
        await self._events.put(None)

    async def _listen(self) -> SessionError | None:
        """Hears a connection to its end; what was wrong with it, if it was."""
        assert self._socket is not None
        try:
            while self._last.get("type") != "done":
                event = self._codec.decode(await self._socket.recv())
                if self._comes_back:
                    if event["type"] == "done" and self._track.is_cut_short:
                        continue  # not the session's last word, only this server's
                    if self._track.withholds(event):
                        continue
                await self._tell(event)
        except ConnectionClosed as closed:
            return self._judged(closed)
        except SessionError as garbage:
            self._garbage = True
            return garbage
        return None

    async def _tell(self, event: Event) -> None:
        self._take_note(event)
        await self._events.put(event)

    def _end(self, failure: SessionError | None = None) -> None:
        self._failure = self._failure or failure
        self._ended = True
        self._news.set()

    def _take_note(self, event: Event) -> None:
        self._last = event
        self._track.hear(event)
        if event["type"] == "confirmed":
            self._news.set()
        if event["type"] not in ("ready", "pong", "error"):
            self._regaining.progressed()

    def _judged(self, closed: ConnectionClosed) -> SessionError | None:
        """Why the connection ended; None: as it should."""
        kind = self._last.get("type")
        if self._closing or kind == "done":
            return None
        if kind == "error":
            # Only as the last word is an error the reason: after others the session went on.
            return from_event(self._last, closed.rcvd.code if closed.rcvd else None)
        return from_close(closed)

    # Coming back

    def _may_return(self, failure: SessionError | None) -> bool:
        hopeful = failure is not None and failure.retryable and not self._closing
        return hopeful and self._comes_back

    @property
    def _comes_back(self) -> bool:
        """Whether a connection that is lost is opened again."""
        return self._track.resumable and self._regaining.within_s > 0

    async def _regain(self, failure: SessionError) -> SessionError | None:
        """Opens the session again; why that cannot be, if it cannot."""
        self._socket = None
        try:
            socket, ready = await self._regaining.regain(failure, self._track.rejoining())
            self._socket, self._last = socket, ready
            lost = self._track.rejoin(ready)
        except SessionError as final:
            return final
        self._news.set()
        await self._events.put(ready)
        self._resending = asyncio.create_task(self._resend(lost))
        return None

    async def _resend(self, lost: dict[str, object]) -> None:
        with suppress(SessionError):  # whoever iterates is told
            if lost:
                await self._control({**lost, "type": "configure"})
            await self._pump()


async def _discard(socket: ClientConnection) -> None:
    with suppress(ConnectionClosed):
        while True:
            await socket.recv()


def _over() -> SessionError:
    return SessionError("closed", "The session is over: open a new one.")


@asynccontextmanager
async def connect(
    url: str, *, format: Format = "json", api_key: str | None = None,
    reconnect_s: float = RECONNECT_S, **options: object,
) -> AsyncIterator[Session]:  # fmt: skip
    """Opens a session, and closes its connection in the end.

    Args:
        url: ``ws://HOST:PORT`` or ``http://…``; without a path the protocol's own is used.
        format: what messages are written in.
        api_key: sent as a header, where the server asks for one.
        reconnect_s: for how long a lost connection is tried again; 0: not at all. Each that is
            regained begins with a ``ready`` event.
        options: the protocol's; those that are None are left to the server. A long ``context``
            goes into a first message; if it is refused, that is an ``error`` event.

    Raises:
        ValueError: ``url`` or ``format`` is not one.
        SessionError: nobody answers, or the session was refused.
    """
    codec = codec_of(format)
    later: dict[str, object] = {}
    if len(stream_url(url, format, options)) > MAX_URL_CHARS and "context" in options:
        later["context"] = options.pop("context")

    async def redial(options: dict[str, object]) -> ClientConnection:
        return await dial(stream_url(url, format, options), api_key)

    regaining = Regaining(redial, codec, reconnect_s)
    session = Session(await redial(options), codec, Track(options), regaining)
    try:
        await session.wait_ready()
        if later:
            await session.configure(**later)
        yield session
    finally:
        await session.close()
