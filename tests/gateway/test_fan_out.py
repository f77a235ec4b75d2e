"""A frame that is made once arrives as any other, and never where it must not."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from gateway.fan_out import FanOutProtocol, text_frame, write_now

TEXTS = ["", "word", "日本語 🎉", "x" * 125, "x" * 126, "x" * 70_000]


async def speaker(websocket: WebSocket) -> None:
    """Says all texts both ways, and one more when it has closed."""
    write = write_now(websocket.scope)
    assert write is not None
    assert not write(text_frame("before the handshake"))
    await websocket.accept()
    for text in TEXTS:
        if not write(text_frame(text)):
            await websocket.send_text(text)
        await websocket.send_text(text)
    await websocket.close()
    assert not write(text_frame("after the close"))


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    """The address of a server that speaks."""
    app = Starlette(routes=[WebSocketRoute("/", speaker)])
    server = uvicorn.Server(
        uvicorn.Config(app, ws=FanOutProtocol, ws_per_message_deflate=False, log_config=None)
    )
    with socket.create_server(("127.0.0.1", 0)) as bound:
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            yield f"ws://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


async def test_frames_arrive_whole_in_order_and_not_outside_the_connection() -> None:
    async with served() as url, connect(url, compression=None, proxy=None) as viewer:
        said = [each async for each in viewer]

    assert said == [text for text in TEXTS for _ in range(2)]
    assert viewer.close_code == 1000


def test_another_server_has_no_such_way() -> None:
    assert write_now({"type": "websocket"}) is None
