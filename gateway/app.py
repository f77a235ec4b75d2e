"""``create_app``: routes and headers. Nothing else."""

from collections import Counter
from importlib.resources import files

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from engine.worker import Worker
from gateway.connection import Connection
from gateway.errors import GatewayError, InvalidOption, NotFound, as_fields
from gateway.http.health import health_routes
from gateway.metrics import Metrics
from gateway.registry import Registry
from gateway.settings import Settings
from gateway.wire.native import NativeCodec, choose_format
from gateway.wire.options import parse_options

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self' ws: wss:; worker-src 'self'; media-src 'self' blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "microphone=(self), display-capture=(self)",
}


class SecurityHeaders:
    """ASGI middleware: `SECURITY_HEADERS` on every HTTP response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def create_app(
    settings: Settings, worker: Worker, registry: Registry, metrics: Metrics
) -> Starlette:
    """The ASGI application over a started worker."""
    page = files("web_demo")

    async def index(request: Request) -> Response:
        return FileResponse(str(page / "index.html"))

    async def stream(websocket: WebSocket) -> None:
        try:
            registry.admit()
            codec, subprotocol = _codec(websocket, settings)
            options = parse_options(_query(websocket), max_segment_ms=worker.model.max_segment_ms)
            connection = Connection(websocket, codec, options, worker, settings, metrics)
        except GatewayError as error:
            metrics.refused.labels(error.code).inc()
            await refuse(websocket, error, settings)
            return
        await websocket.accept(subprotocol)
        await registry.serve(connection)

    async def nowhere(websocket: WebSocket) -> None:
        await refuse(websocket, NotFound(), settings)

    return Starlette(
        routes=[
            Route("/", index),
            WebSocketRoute("/v1/stream", stream),
            *health_routes(worker, registry, metrics),
            Mount("/static", StaticFiles(directory=str(page))),
            WebSocketRoute("/{path:path}", nowhere),
        ],
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={404: _not_found},
    )


async def _not_found(request: Request, error: Exception) -> Response:
    return JSONResponse({"type": "error"} | as_fields(NotFound()), NotFound.http_status)


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
    fields = {"type": "error"} | as_fields(error)
    if "origin" in websocket.headers:
        try:
            codec, subprotocol = _codec(websocket, settings)
        except InvalidOption:  # an unknown format, or one that contradicts the subprotocol
            codec = NativeCodec()
            subprotocol = choose_format(None, websocket.scope["subprotocols"])[1]
        await websocket.accept(subprotocol)
        frame = codec.encode(fields)
        if isinstance(frame, str):
            await websocket.send_text(frame)
        else:
            await websocket.send_bytes(frame)
        await websocket.close(error.close_code)
        return
    headers = {}
    if error.retry_after_ms is not None:
        headers["retry-after"] = str(-(-error.retry_after_ms // 1000))
    await websocket.send_denial_response(JSONResponse(fields, error.http_status, headers))
