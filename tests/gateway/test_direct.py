"""Ways past the queue: frames that are made once arrive as any other, and never where they must
not; messages that are taken as they come are those that would be received, in their order."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode

from gateway.direct import TAKEN_AT_ONCE, DirectProtocol, take_now, text_frame, write_now

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
async def served(endpoint: Callable[[WebSocket], Awaitable[None]]) -> AsyncIterator[str]:
    """The address of a server with this endpoint."""

    async def route(websocket: WebSocket) -> None:
        await endpoint(websocket)

    app = Starlette(routes=[WebSocketRoute("/", route)])
    server = uvicorn.Server(
        uvicorn.Config(app, ws=DirectProtocol, ws_per_message_deflate=False, log_config=None)
    )
    with socket.create_server(("127.0.0.1", 0)) as bound:
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            yield f"ws://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


async def test_frames_arrive_whole_in_order_and_not_outside_the_connection() -> None:
    async with served(speaker) as url, connect(url, compression=None, proxy=None) as viewer:
        said = [each async for each in viewer]

    assert said == [text for text in TEXTS for _ in range(2)]
    assert viewer.close_code == 1000


def test_another_server_has_no_such_way() -> None:
    assert write_now({"type": "websocket"}) is None


class Taker:
    """Takes binary messages as they come, and says back by ``receive`` what is left for it."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.left: list[bytes | str] = []
        self.willing = True

    def take(self, data: bytes) -> bool:
        if self.willing:
            self.taken.append(data)
        return self.willing

    async def __call__(self, websocket: WebSocket) -> None:
        take_now(websocket.scope, self.take)
        await websocket.accept()
        while (message := await websocket.receive())["type"] == "websocket.receive":
            text = message.get("text")
            self.left.append(message["bytes"] if text is None else text)
            self.willing = text != "wait"
            if text is not None:
                await websocket.send_text(text)


class TestTaking:
    async def test_whole_binary_messages_are_taken_and_all_else_is_received(self) -> None:
        taker = Taker()
        async with served(taker) as url, connect(url, compression=None, proxy=None) as client:
            await client.send(b"one")
            await client.send(b"")
            await client.send("text")
            assert await client.recv() == "text"
            await client.send([b"in ", b"pieces"])
            await client.send("wait")
            assert await client.recv() == "wait"
            await client.send(b"not now")
            await client.send("go on")
            assert await client.recv() == "go on"
            await client.send(b"x" * 70_000)
            await client.send("over")
            assert await client.recv() == "over"

        assert taker.taken == [b"one", b"", b"x" * 70_000]
        assert taker.left == ["text", b"in pieces", "wait", b"not now", "go on", "over"]

    async def test_order_is_kept_behind_what_waits(self) -> None:
        """In one piece of the socket's bytes: what comes behind a text waits behind it."""
        taker = Taker()
        messages: list[str | bytes] = [b"1", "2", b"3", b"4", "5"]
        async with served(taker) as url, connect(url, compression=None, proxy=None) as client:
            wire = b"".join(
                Frame(
                    Opcode.TEXT if isinstance(each, str) else Opcode.BINARY,
                    each.encode() if isinstance(each, str) else each,
                ).serialize(mask=True)
                for each in messages
            )
            client.transport.write(wire)
            assert [await client.recv(), await client.recv()] == ["2", "5"]

        assert (taker.taken, taker.left) == ([b"1"], messages[1:])

    async def test_of_many_at_once_others_have_their_turn_between(self) -> None:
        taker = Taker()
        async with served(taker) as url, connect(url, compression=None, proxy=None) as client:
            client.transport.write(Frame(Opcode.BINARY, b"x").serialize(mask=True) * 100)
            await client.send("end")
            assert await client.recv() == "end"

        assert len(taker.taken) == TAKEN_AT_ONCE
        assert taker.left == [b"x"] * (100 - TAKEN_AT_ONCE) + ["end"]

    def test_another_server_hands_nothing_over(self) -> None:
        take_now({"type": "websocket"}, Taker().take)
