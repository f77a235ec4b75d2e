"""One session over one WebSocket.

Resuming, when it comes, belongs here and not to callers: `Session` counts what was confirmed and
knows the last event it saw, so that a lost socket can be replaced under its hands.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.frames import CloseCode

from gateway.client.errors import (
    SessionError,
    from_close,
    from_event,
    from_response,
    not_the_protocol,
)
from gateway.client.wire import (
    Codec,
    Event,
    Format,
    codec_of,
    is_loopback,
    stream_url,
    without_query,
)

READY_TIMEOUT_S = 30
"""A server says `ready` at once or refuses; this only ends waiting for one that is neither."""

CLOSE_TIMEOUT_S = 3
"""For the farewell of a server that may be gone: everything that matters was said before."""

MAX_URL_CHARS = 4000
"""Servers and proxies take request lines of 8 KiB and more; a context may be longer, encoded."""

MAX_UNREAD_EVENTS = 1024
"""Events kept for a caller who does not iterate: minutes of captions, under 1 MB. When full,
reading stops, and the server treats us as the slow consumer that we are."""


class Session:
    """An open session. Made by `connect`.

    Sending and iterating are independent: two tasks may do one each. Events must be iterated over
    while audio is sent; what was confirmed is counted when it is read from the socket.
    """

    def __init__(self, socket: ClientConnection, codec: Codec) -> None:
        self.ready: Event = {}
        """The server's first message: the options in force and its limits."""
        self.confirmed_samples = 0
        """Audio before this sample, at the client's rate, is in finals or was silence."""
        self._socket = socket
        self._codec = codec
        self._events: asyncio.Queue[Event | None] = asyncio.Queue(MAX_UNREAD_EVENTS)
        self._last: Event = {}
        self._failure: SessionError | None = None
        self._closing = False
        self._ended = False
        self._garbage = False
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def send(self, pcm: bytes) -> None:
        """Sends audio in the session's encoding; waits while the network is slower.

        Raises:
            SessionError: the connection has ended.
        """
        await self._transmit(self._codec.audio(pcm))

    async def finalize(self, id: str | None = None) -> None:
        """Closes the open segment now; its ``final`` carries ``id``. Raises as `send`."""
        await self._control("finalize", {} if id is None else {"id": id})

    async def configure(self, **options: object) -> None:
        """Changes options; once audio was sent only a few allow it. Raises as `send`."""
        await self._control("configure", options)

    async def ping(self, id: str) -> None:
        """Asks for a ``pong`` with the same ``id``. Raises as `send`."""
        await self._control("ping", {"id": id})

    async def stop(self) -> None:
        """Asks for the last final and ``done``, after which iterating ends. Raises as `send`."""
        await self._control("stop", {})

    async def wait_confirmed(self, samples: int) -> None:
        """Returns once ``samples`` samples are confirmed, or the connection has ended."""
        while self.confirmed_samples < samples and not self._ended:
            self._news.clear()
            await self._news.wait()

    async def close(self) -> None:
        """Ends the connection without waiting for the last words; iterating ends. Idempotent."""
        if self._closing:
            return await self._socket.wait_closed()
        self._closing = True
        self._reader.cancel()
        await asyncio.wait([self._reader])
        self._end()
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(None)
        # Read on, or the answer to our close frame stays behind messages that nobody takes.
        draining = asyncio.create_task(self._discard())
        code = CloseCode.PROTOCOL_ERROR if self._garbage else CloseCode.NORMAL_CLOSURE
        try:
            await self._socket.close(code)
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
                        self.ready = event
                        return
                    if event["type"] != "error":
                        break
        except TimeoutError:
            message = "The server took the connection but did not open a session: try again later."
            raise SessionError("stalled", message, True) from None
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

    async def _control(self, type: str, fields: dict[str, object]) -> None:
        await self._transmit(self._codec.control({**fields, "type": type}))

    async def _transmit(self, frame: str | bytes) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            await self._socket.send(frame)
        except ConnectionClosed as closed:
            over = SessionError("closed", "The session is over: open a new one.")
            raise (self._judged(closed) or over) from closed

    async def _read(self) -> None:
        failure = None
        try:
            while self._last.get("type") != "done":
                event = self._codec.decode(await self._socket.recv())
                self._take_note(event)
                await self._events.put(event)
        except ConnectionClosed as closed:
            failure = self._judged(closed)
        except SessionError as garbage:
            self._garbage, failure = True, garbage
        self._end(failure)
        await self._events.put(None)

    async def _discard(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                await self._socket.recv()

    def _end(self, failure: SessionError | None = None) -> None:
        self._failure = self._failure or failure
        self._ended = True
        self._news.set()

    def _take_note(self, event: Event) -> None:
        self._last = event
        samples = event.get("samples")
        if event["type"] == "confirmed" and isinstance(samples, int):
            self.confirmed_samples = max(self.confirmed_samples, samples)
            self._news.set()

    def _judged(self, closed: ConnectionClosed) -> SessionError | None:
        """Why the connection ended; None: as it should."""
        kind = self._last.get("type")
        if self._closing or kind == "done":
            return None
        if kind == "error":
            # Only as the last word is an error the reason: after others the session went on.
            return from_event(self._last, closed.rcvd.code if closed.rcvd else None)
        return from_close(closed)


@asynccontextmanager
async def connect(
    url: str, *, format: Format = "json", api_key: str | None = None, **options: object
) -> AsyncIterator[Session]:
    """Opens a session, and closes its connection in the end.

    Args:
        url: ``ws://HOST:PORT`` or ``http://…``; without a path the protocol's own is used.
        format: what messages are written in.
        api_key: sent as a header, where the server asks for one.
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
    session = Session(await _open(stream_url(url, format, options), api_key), codec)
    try:
        await session.wait_ready()
        if later:
            await session.configure(**later)
        yield session
    finally:
        await session.close()


async def _open(url: str, api_key: str | None) -> ClientConnection:
    where = without_query(url)
    try:
        return await open_websocket(
            url,
            additional_headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
            close_timeout=CLOSE_TIMEOUT_S,
            compression=None,  # the server has it off: audio does not shrink
            # A proxy, if the environment names one, does not know this machine's own addresses.
            proxy=None if is_loopback(url) else True,
        )
    except InvalidStatus as refusal:
        raise from_response(refusal.response) from None
    except InvalidHandshake:
        raise not_the_protocol() from None
    except ssl.SSLError:
        message = f"No secure connection to {where} could be made: check its certificate."
        raise SessionError("unreachable", message) from None
    except OSError:
        message = f"No server answers at {where}: check the address, and that it is running."
        raise SessionError("unreachable", message, True) from None
