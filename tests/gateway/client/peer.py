"""A scripted server: says what a test tells it to, and shows what the client said."""

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any

import msgpack
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Message = dict[str, Any]

READY: Message = {
    "epoch": 1,
    "model": "scripted",
    "sample_rate": 16_000,
    "options": {},
    "limits": {"max_unconfirmed_ms": 30_000},
}


class Peer:
    """One connection, seen from the server."""

    def __init__(self, socket: ServerConnection, format: str) -> None:
        self.socket = socket
        self.format = format
        self.seq = 0

    @property
    def path(self) -> str:
        assert self.socket.request is not None
        return self.socket.request.path

    async def ready(self, **changes: Any) -> None:
        await self.say("ready", **{**READY, **changes})

    async def say(self, type: str, **fields: Any) -> None:
        self.seq += 1
        message = {"type": type, "session": "s1", "seq": self.seq, **fields}
        text = json.dumps(message)
        await self.socket.send(text if self.format == "json" else msgpack.packb(message))

    async def final(self, segment: int, text: str, end_ms: int = 1000) -> None:
        times = {"start_ms": end_ms - 1000, "end_ms": end_ms}
        await self.say("final", segment=segment, text=text, **times, language="en", reason="stop")

    async def done(self) -> None:
        await self.say("done", duration_ms=0, segments=0, totals={})

    async def hear(self) -> Message:
        """The client's next message; audio as the protocol's own ``audio`` message."""
        frame = await self.socket.recv()
        if self.format == "msgpack":
            assert isinstance(frame, bytes)
            message: Message = msgpack.unpackb(frame)
            return message
        if isinstance(frame, bytes):
            return {"type": "audio", "pcm": frame}
        parsed: Message = json.loads(frame)
        return parsed

    async def hear_all(self) -> list[Message]:
        """Everything up to and with the client's ``stop``."""
        heard = [await self.hear()]
        while heard[-1]["type"] != "stop":
            heard.append(await self.hear())
        return heard

    async def until_closed(self) -> None:
        """Reads until the client has closed: its close frame may be behind unread audio."""
        with suppress(ConnectionClosed):
            while True:
                await self.socket.recv()

    def vanish(self) -> None:
        """The connection breaks without a close frame."""
        self.socket.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def peer(
    script: Script, *, format: str = "json", tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A server that follows ``script`` with each client; yields its ``ws://HOST:PORT``."""

    async def handler(socket: ServerConnection) -> None:
        await script(Peer(socket, format))

    async with serve(handler, "127.0.0.1", 0, compression=None, ssl=tls) as server:
        yield f"ws{'s' * (tls is not None)}://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def refusing_peer(
    status: int, body: bytes, headers: dict[str, str] | None = None
) -> AsyncIterator[str]:
    """A server that answers every handshake with an HTTP status."""

    async def never(socket: ServerConnection) -> None:
        raise AssertionError

    def refuse(socket: ServerConnection, request: Request) -> Response:
        return Response(status, HTTPStatus(status).phrase, Headers(headers or {}), body)

    async with serve(never, "127.0.0.1", 0, process_request=refuse) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
