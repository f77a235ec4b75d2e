"""``create_app``: routes and headers. Nothing else."""

import time
import uuid
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from engine.worker import Worker
from gateway.access import AccessControl, Guard, grant_of
from gateway.connection import Connection, send_frame
from gateway.errors import GatewayError, NotFound, as_fields
from gateway.http.answers import error_response
from gateway.http.health import health_routes
from gateway.http.security_headers import SecurityHeaders
from gateway.http.tokens import token_routes
from gateway.http.transcriptions import transcription_routes
from gateway.metrics import Metrics
from gateway.registry import Registry
from gateway.settings import Settings
from gateway.wire.codec import Dialect, Handshake, Host, Keepalive
from gateway.wire.deepgram import DeepgramDialect
from gateway.wire.messages import ErrorMessage
from gateway.wire.native import NativeDialect
from gateway.wire.openai_realtime import OpenAiRealtimeDialect
from gateway.wire.options import parse_options

NATIVE = NativeDialect()
DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        "/v1/stream": NATIVE,
        "/v1/realtime": OpenAiRealtimeDialect(),
        "/v1/listen": DeepgramDialect(),
    }
)
"""What is spoken at which path."""


def create_app(
    settings: Settings, worker: Worker, registry: Registry, metrics: Metrics, guard: Guard
) -> Starlette:
    """The ASGI application over a started worker; nobody gets past the guard."""
    page = files("web_demo")

    async def index(request: Request) -> Response:
        return FileResponse(str(page / "index.html"))

    async def stream(websocket: WebSocket) -> None:
        dialect, host = DIALECTS[websocket.scope["path"]], _host(worker, settings)
        try:
            registry.admit()
            opening = dialect.open(_handshake(websocket), host)
            grant_of(websocket.scope).check_options(opening.options)
            options = parse_options(opening.options, max_segment_ms=worker.model.max_segment_ms)
            connection = Connection(
                websocket, opening.codec, host.session, options, worker, settings, metrics
            )
        except GatewayError as error:
            metrics.refused.labels(error.code).inc()
            await refuse(websocket, error, dialect, host)
            return
        await websocket.accept(opening.subprotocol)
        await registry.serve(connection)

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
            Route("/", index),
            *(WebSocketRoute(path, stream) for path in DIALECTS),
            Route("/v1/stream", would_open),
            *health_routes(worker, registry, metrics),
            *token_routes(guard, worker, settings),
            *transcription_routes(worker, registry, settings, metrics, guard),
            Mount("/static", StaticFiles(directory=str(page))),
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
        query=websocket.query_params.multi_items(),
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


async def refuse(websocket: WebSocket, error: GatewayError, dialect: Dialect, host: Host) -> None:
    """Turns a connection away before it is accepted.

    Browsers cannot read the HTTP answer to a failed handshake, so pages are accepted, told why, and
    closed with the error's code.
    """
    if "origin" in websocket.headers:
        opening = dialect.refused(_handshake(websocket), host)
        await websocket.accept(opening.subprotocol)
        for frame in opening.codec.encode(ErrorMessage(**as_fields(error))):
            await send_frame(websocket, frame)
        closing = opening.codec.closing(error)
        await websocket.close(closing.code, closing.reason)
        return
    await websocket.send_denial_response(error_response(error, dialect.refusal(error, host)))
