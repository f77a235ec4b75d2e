"""Following a room: ``/v1/rooms/ROOM`` as a WebSocket, ``/v1/rooms/ROOM/events`` as SSE."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from gateway.access import grant_of
from gateway.access.grant import Grant
from gateway.direct import shared_text_frame, write_now
from gateway.errors import GatewayError, SlowConsumer, Unauthorized
from gateway.http.answers import error_response
from gateway.http.correcting import said, take_corrections
from gateway.http.room_exports import export_routes
from gateway.http.room_segments import segment_routes
from gateway.metrics import Metrics
from gateway.rooms import Rooms, Viewer
from gateway.rooms.frames import RoomFrame
from gateway.settings import Settings

MAX_SEQ_DIGITS = 15
ONLY_LISTENS = 1008
"""RFC 6455, 7.4.1: a policy was violated; a viewer says nothing."""
BEAT = ": still here\n\n"


def room_routes(
    rooms: Rooms,
    settings: Settings,
    metrics: Metrics,
    refuse: Callable[[WebSocket, GatewayError], Awaitable[None]],
) -> list[BaseRoute]:
    """The routes of viewers.

    Args:
        refuse: turns a handshake away.
    """

    async def follow(websocket: WebSocket) -> None:
        name, grant = websocket.path_params["room"], grant_of(websocket.scope)
        try:
            grant.check_room(name, "viewer")
            held = rooms.viewing(grant.owner, name, _number(websocket.query_params.get("after")))
            viewer = await held.__aenter__()
        except GatewayError as error:
            metrics.refused.labels(error.code).inc()
            await refuse(websocket, error)
            return
        try:
            await websocket.accept()
            viewer.write = _straight(websocket, grant)
            await _serve(
                take_corrections(websocket, grant, name, rooms, settings)
                if grant.may_correct(name)
                else _listen(websocket),
                _write(websocket, viewer, grant, settings, metrics),
            )
        finally:
            await held.__aexit__(None, None, None)

    async def events(request: Request) -> Response:
        name, grant = request.path_params["room"], grant_of(request.scope)
        after = _number(request.headers.get("last-event-id") or request.query_params.get("after"))
        try:
            grant.check_room(name, "viewer")
            held = rooms.viewing(grant.owner, name, after)
            viewer = await held.__aenter__()
        except GatewayError as error:
            return error_response(error)

        async def lines() -> AsyncIterator[str]:
            async for line in _server_sent(viewer, grant, settings, metrics):
                yield line

        return _Events(lines(), held)

    return [
        *segment_routes(rooms),
        *export_routes(rooms),
        WebSocketRoute("/v1/rooms/{room}", follow),
        Route("/v1/rooms/{room}/events", events),
    ]


class _Events(StreamingResponse):
    """Gives its place back however the response ends, also when it never began."""

    def __init__(
        self, lines: AsyncIterator[str], held: AbstractAsyncContextManager[Viewer]
    ) -> None:
        super().__init__(
            lines,
            media_type="text/event-stream",
            # nginx would keep the lines until it has many.
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )
        self._held = held

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._held.__aexit__(None, None, None)


def _straight(websocket: WebSocket, grant: Grant) -> Callable[[RoomFrame], bool]:
    """Writes at once where the server can; else, and where the viewer is to go, nothing."""
    write = write_now(websocket.scope)

    def straight(frame: RoomFrame) -> bool:
        return write is not None and not grant.revoked and write(shared_text_frame(frame.text))

    return straight


async def _next(viewer: Viewer, grant: Grant, metrics: Metrics) -> RoomFrame:
    """
    Raises:
        SlowConsumer, Unauthorized: the viewer is to go.
    """
    try:
        frame = await viewer.get()
    except SlowConsumer:
        metrics.slow_viewers.inc()
        raise
    if grant.revoked:
        raise Unauthorized()
    return frame


async def _serve(listening: Coroutine[Any, Any, None], writing: Coroutine[Any, Any, None]) -> None:
    """Until the viewer goes, says what it may not or is too slow."""
    tasks = [asyncio.create_task(each) for each in (listening, writing)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _listen(websocket: WebSocket) -> None:
    """Until the viewer goes; one that speaks is sent away."""
    if (await websocket.receive())["type"] != "websocket.disconnect":
        await websocket.close(ONLY_LISTENS, "viewers only listen")


async def _write(
    websocket: WebSocket, viewer: Viewer, grant: Grant, settings: Settings, metrics: Metrics
) -> None:
    try:
        while True:
            frame = await _next(viewer, grant, metrics)
            async with asyncio.timeout(settings.write_timeout_s):
                await websocket.send_text(frame.text)
    except GatewayError as error:
        await websocket.send_text(said(error))
        await websocket.close(error.close_code)
    except TimeoutError:
        metrics.slow_viewers.inc()
        await websocket.close(SlowConsumer.close_code)


async def _server_sent(
    viewer: Viewer, grant: Grant, settings: Settings, metrics: Metrics
) -> AsyncIterator[str]:
    """Events whose id is the message's number; a comment where there is nothing to say."""
    yield BEAT
    try:
        while True:
            try:
                async with asyncio.timeout(settings.ping_interval_s):
                    frame = await _next(viewer, grant, metrics)
            except TimeoutError:
                yield BEAT
            else:
                yield f"id: {frame.seq}\ndata: {frame.text}\n\n"
    except GatewayError as error:
        yield f"data: {said(error)}\n\n"


def _number(text: str | None) -> int:
    """What a viewer says it has seen; nothing where that is no number."""
    plain = text is not None and text.isascii() and text.isdecimal() and len(text) <= MAX_SEQ_DIGITS
    return int(text) if plain and text else 0
