"""``create_app``: routes and headers. Nothing else."""

from collections import Counter
from importlib.resources import files

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from engine.worker import Worker
from gateway.access import AccessControl, Guard, grant_of
from gateway.connection import Connection
from gateway.errors import GatewayError, InvalidOption, NotFound, as_fields
from gateway.http.answers import error_response
from gateway.http.health import health_routes
from gateway.http.security_headers import SecurityHeaders
from gateway.http.tokens import token_routes
from gateway.metrics import Metrics
from gateway.registry import Registry
from gateway.settings import Settings
from gateway.wire.native import NativeCodec, choose_format
from gateway.wire.options import parse_options


def create_app(
    settings: Settings, worker: Worker, registry: Registry, metrics: Metrics, guard: Guard
) -> Starlette:
    """The ASGI application over a started worker; nobody gets past the guard."""
    page = files("web_demo")

    async def index(request: Request) -> Response:
        return FileResponse(str(page / "index.html"))

    async def stream(websocket: WebSocket) -> None:
        try:
            registry.admit()
            codec, subprotocol = _codec(websocket, settings)
            asked = _query(websocket)
            grant_of(websocket.scope).check_options(asked)
            options = parse_options(asked, max_segment_ms=worker.model.max_segment_ms)
            connection = Connection(websocket, codec, options, worker, settings, metrics)
        except GatewayError as error:
            metrics.refused.labels(error.code).inc()
            await refuse(websocket, error, settings)
            return
        await websocket.accept(subprotocol)
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
        await refuse(websocket, NotFound(), settings)

    return Starlette(
        routes=[
            Route("/", index),
            WebSocketRoute("/v1/stream", stream),
            Route("/v1/stream", would_open),
            *health_routes(worker, registry, metrics),
            *token_routes(guard, worker, settings),
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


def _codec(websocket: WebSocket, settings: Settings) -> tuple[NativeCodec, str | None]:
    format, subprotocol = choose_format(
        websocket.query_params.get("format"), websocket.scope["subprotocols"]
    )
    return NativeCodec(format, settings.max_control_bytes), subprotocol


def _query(websocket: WebSocket) -> dict[str, str]:
    given = websocket.query_params.multi_items()
    for name, count in Counter(name for name, _ in given).items():
        if count > 1:
            raise InvalidOption(f"{name} is given {count} times: give it once.")
    return {name: value for name, value in given if name != "format"}


async def refuse(websocket: WebSocket, error: GatewayError, settings: Settings) -> None:
    """Turns a connection away before it is accepted.

    Browsers cannot read the HTTP answer to a failed handshake, so pages are accepted, told why, and
    closed with the error's code.
    """
    if "origin" in websocket.headers:
        try:
            codec, subprotocol = _codec(websocket, settings)
        except InvalidOption:  # an unknown format, or one that contradicts the subprotocol
            codec = NativeCodec()
            subprotocol = choose_format(None, websocket.scope["subprotocols"])[1]
        await websocket.accept(subprotocol)
        frame = codec.encode({"type": "error"} | as_fields(error))
        if isinstance(frame, str):
            await websocket.send_text(frame)
        else:
            await websocket.send_bytes(frame)
        await websocket.close(error.close_code)
        return
    await websocket.send_denial_response(error_response(error))
