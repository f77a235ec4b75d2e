"""``create_app``: routes and headers. Nothing else."""

import time
import uuid
from collections.abc import Callable, Mapping
from types import MappingProxyType

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from engine.worker import Worker
from gateway.access import AccessControl, Grant, Guard, grant_of
from gateway.connection import Connection, send_frame
from gateway.errors import GatewayError, NotFound, as_fields
from gateway.http.admin import admin_routes
from gateway.http.answers import error_response
from gateway.http.health import health_routes
from gateway.http.pages import page_routes
from gateway.http.rooms import room_routes
from gateway.http.security_headers import SecurityHeaders
from gateway.http.tokens import token_routes
from gateway.http.transcriptions import transcription_routes
from gateway.live import LiveSession
from gateway.metrics import Metrics
from gateway.registry import Registry
from gateway.rooms import Rooms, RoomsHere
from gateway.settings import Settings
from gateway.wire.codec import Codec, Dialect, Handshake, Host, Keepalive, Rejoining
from gateway.wire.deepgram import DeepgramDialect
from gateway.wire.messages import ErrorMessage
from gateway.wire.native import NativeDialect
from gateway.wire.openai_realtime import OpenAiRealtimeDialect

NATIVE = NativeDialect()
DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        "/v1/stream": NATIVE,
        "/v1/realtime": OpenAiRealtimeDialect(),
        "/v1/listen": DeepgramDialect(),
    }
)
"""What is spoken at which path."""
PUBLISH = "publish"
"""Query parameter with the room's name, whatever the protocol."""


def create_app(
    settings: Settings, worker: Worker, registry: Registry, metrics: Metrics, guard: Guard,
    drain: Callable[[], None], rooms: Rooms | None = None,
) -> Starlette:  # fmt: skip
    """The ASGI application over a started worker; nobody gets past the guard.

    Args:
        drain: begins the end of the process.
        rooms: that several processes have together; None: it has rooms of its own.
    """
    rooms = rooms or RoomsHere(settings, metrics)

    async def stream(websocket: WebSocket) -> None:
        dialect, host = DIALECTS[websocket.scope["path"]], _host(worker, settings)
        grant = grant_of(websocket.scope)
        try:
            opening = dialect.open(_handshake(websocket), host)
            grant.check_options(opening.options)
            live = registry.find(opening.rejoining, grant)
            if live is not None and not live.hears(opening.options):
                live = None  # its audio would be taken for what it is not: a new one goes on
            if live is None:
                registry.admit()
                fresh = LiveSession(host.session, opening, grant, worker, settings, metrics)
                await publish(websocket, fresh, grant)
        except GatewayError as error:
            metrics.refused.labels(error.code).inc()
            await refuse(websocket, error, dialect, host)
            return
        try:
            await websocket.accept(opening.subprotocol)
        except BaseException:
            if live is None:
                fresh.unpublish()  # nobody will ever serve it
            raise
        if live is None:
            fresh.greet()
            await registry.serve(Connection(websocket, opening.codec, fresh, settings, metrics))
        elif opening.rejoining is not None:
            await resume(websocket, opening.rejoining, live, grant)

    async def publish(websocket: WebSocket, live: LiveSession, grant: Grant) -> None:
        if (name := websocket.query_params.get(PUBLISH)) is not None:
            grant.check_room(name, "publisher")
            live.publish(await rooms.publish(grant.owner, name, live.session.id, live.lose_room))

    async def refuse_viewer(websocket: WebSocket, error: GatewayError) -> None:
        await refuse(websocket, error, NATIVE, _host(worker, settings))

    async def resume(
        websocket: WebSocket, rejoining: Rejoining, live: LiveSession, grant: Grant
    ) -> None:
        codec = rejoining.codec
        try:
            first = await registry.take_up(live, rejoining, grant)
        except GatewayError as error:
            await _tell(websocket, codec, error)
            return
        await registry.serve(Connection(websocket, codec, live, settings, metrics, first))

    async def would_open(request: Request) -> Response:
        """For pages, which cannot see why a handshake was refused: the same, as an answer."""
        try:
            guard.check_session(grant_of(request.scope))
            registry.admit()
        except GatewayError as error:
            return error_response(error)
        return Response(status_code=426, headers={"upgrade": "websocket"})

    async def nowhere(websocket: WebSocket) -> None:
        await refuse(websocket, NotFound(), NATIVE, _host(worker, settings))

    return Starlette(
        routes=[
            *(WebSocketRoute(path, stream) for path in DIALECTS),
            Route("/v1/stream", would_open),
            *health_routes(worker, registry, metrics),
            *admin_routes(guard, registry, settings, drain),
            *token_routes(guard, worker, settings),
            *room_routes(rooms, settings, metrics, refuse_viewer),
            *transcription_routes(worker, registry, settings, metrics, guard),
            *page_routes(),
            WebSocketRoute("/{path:path}", nowhere),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(
                AccessControl, guard=guard, refused=lambda code: metrics.refused.labels(code).inc()
            ),
        ],
        exception_handlers={404: _not_found},
    )


async def _not_found(request: Request, error: Exception) -> Response:
    return error_response(NotFound())


def _handshake(websocket: WebSocket) -> Handshake:
    return Handshake(
        query=[each for each in websocket.query_params.multi_items() if each[0] != PUBLISH],
        subprotocols=websocket.scope["subprotocols"],
        headers=dict(websocket.headers),
    )


def _host(worker: Worker, settings: Settings) -> Host:
    return Host(
        session=uuid.uuid4().hex,
        model=worker.model,
        opened_at=time.time(),
        keepalive=Keepalive(settings.first_message_s, settings.idle_timeout_s),
        max_control_bytes=settings.max_control_bytes,
        max_session_s=settings.max_session_s,
    )


async def _tell(websocket: WebSocket, codec: Codec, error: GatewayError) -> None:
    """The error on an accepted socket, and the close."""
    for frame in codec.encode(ErrorMessage(**as_fields(error))):
        await send_frame(websocket, frame)
    closing = codec.closing(error)
    await websocket.close(closing.code, closing.reason)


async def refuse(websocket: WebSocket, error: GatewayError, dialect: Dialect, host: Host) -> None:
    """Turns a connection away before it is accepted.

    Browsers cannot read the HTTP answer to a failed handshake, so pages are accepted, told why, and
    closed with the error's code.
    """
    if "origin" in websocket.headers:
        opening = dialect.refused(_handshake(websocket), host)
        await websocket.accept(opening.subprotocol)
        await _tell(websocket, opening.codec, error)
        return
    await websocket.send_denial_response(error_response(error, dialect.refusal(error, host)))
