"""A bare WebSocket to a gateway, where the wire itself is meant."""

import asyncio
import json
from typing import Any

import msgpack
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.conftest import Server

WITHIN_S = 10


def dial(server: Server, query: str = "", path: str = "/v1/stream", **options: Any) -> Any:
    """A bare WebSocket, to be awaited or entered."""
    options = {"compression": None, "proxy": None, "open_timeout": WITHIN_S, **options}
    return open_websocket(f"{server.ws}{path}?{query}", **options)


async def hear(socket: ClientConnection) -> dict[str, Any]:
    """The next message."""
    async with asyncio.timeout(WITHIN_S):
        message = await socket.recv()
    result: dict[str, Any] = (
        json.loads(message) if isinstance(message, str) else msgpack.unpackb(message)
    )
    return result


async def hear_all(socket: ClientConnection) -> list[dict[str, Any]]:
    """All messages up to the close."""
    messages = []
    try:
        while True:
            messages.append(await hear(socket))
    except ConnectionClosed:
        return messages


async def refused(server: Server, query: str = "", **options: Any) -> tuple[int, dict[str, Any]]:
    """Status and JSON body of a handshake that must fail."""
    with pytest.raises(InvalidStatus) as refusal:
        await dial(server, query, **options)
    response = refusal.value.response
    assert response.headers["content-type"] == "application/json"
    assert response.body is not None
    return response.status_code, json.loads(response.body)


async def check_alive(socket: ClientConnection) -> None:
    """The session goes on."""
    await socket.send('{"type": "ping", "id": "still there?"}')
    pong = await hear(socket)
    assert (pong["type"], pong["id"]) == ("pong", "still there?")
