"""Pages and rooms as the gateway serves them, with a speaker whose every message a test says."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.websockets import WebSocket

from gateway.access import AccessControl, Guard
from gateway.access.tokens import Claims, Role
from gateway.http.pages import page_routes
from gateway.http.rooms import room_routes
from gateway.http.security_headers import SecurityHeaders
from gateway.metrics import Metrics
from gateway.rooms import Publication, Rooms, RoomsHere
from gateway.server import uvicorn_options
from gateway.settings import Settings
from gateway.wire.messages import Final, Partial

SESSION = "0" * 32


@dataclass
class SpeakerDouble:
    """A session in a room, of which there is nothing but its words."""

    port: int
    publication: Publication
    rooms: Rooms
    guard: Guard
    segment: int = 0
    _revision: int = field(default=0, repr=False)

    @property
    def http(self) -> str:
        """``http://127.0.0.1:PORT``"""
        return f"http://127.0.0.1:{self.port}"

    def token(self, role: Role, room: str) -> str:
        """One for an hour."""
        until = int(self.guard.clock()) + 3600
        return self.guard.tokens.issue(Claims("", until, role=role, room=room), None)

    def partial(self, stable: str, unstable: str, language: str = "en") -> None:
        """Words of the open segment."""
        self._revision += 1
        self.publication.say(
            Partial(self.segment, self._revision, stable, unstable, 0, 1000, language, 0)
        )

    def final(self, text: str, language: str = "en", start_ms: int = 0, end_ms: int = 1000) -> None:
        """All words of the open segment; the next one is begun."""
        said = Final(self.segment, text, False, start_ms, end_ms, language, "silence")
        self.publication.say(said)
        self.segment += 1


@asynccontextmanager
async def speaking(room: str) -> AsyncIterator[SpeakerDouble]:
    """A server of pages and rooms in this event loop, and who speaks in the room."""
    settings, metrics = Settings(), Metrics()
    rooms, guard = RoomsHere(settings, metrics), Guard(settings)

    async def refuse(websocket: WebSocket, error: Exception) -> None:
        raise error

    app = Starlette(
        routes=[*room_routes(rooms, settings, metrics, refuse), *page_routes()],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(AccessControl, guard=guard, refused=lambda code: None),
        ],
    )
    server = uvicorn.Server(uvicorn.Config(app, **uvicorn_options(settings, metrics)))
    with socket.create_server(("127.0.0.1", 0)) as bound:
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            speaker = await rooms.publish(None, room, SESSION, lambda: None)
            yield SpeakerDouble(bound.getsockname()[1], speaker, rooms, guard)
        finally:
            server.should_exit = True
            await serving
