"""RFC 6455, by the cases of the Autobahn test suite."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from kosoku import FailureError, run_fuzzingclient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode

from gateway.direct import take_now, write_now
from gateway.log import CLIENTS_FAULTS
from gateway.metrics import Metrics
from gateway.server import uvicorn_options
from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, serving
from tests.gateway.dialing import check_alive, dial, hear

pytestmark = pytest.mark.timeout(120)

COMPRESSION = ["12.*", "13.*"]
"""permessage-deflate, which is off."""

BREAKING = ["3.*", "4.*", "5.*", "6.3.*", "7.*"]
"""Reserved bits and codes, fragments in disorder, text that is not UTF-8, closes of all kinds."""

KNOWN = {"7.1.5"}
"""A fragment, then a close: `websockets` answers the close, the suite wants no answer."""


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """What the suite expects of a server; at the path /direct past the queue, as audio goes."""
    websocket = WebSocket(scope, receive, send)
    write = write_now(scope)
    assert write is not None
    if scope["path"] == "/direct":
        take_now(scope, lambda data: write(Frame(Opcode.BINARY, data).serialize(mask=False)))
    await websocket.accept()
    while (message := await websocket.receive())["type"] == "websocket.receive":
        await websocket.send({**message, "type": "websocket.send"})


@asynccontextmanager
async def echoing() -> AsyncIterator[str]:
    """`echo`, served exactly as the gateway is; its address."""
    settings = Settings(max_frame_bytes=16_777_216)
    server = uvicorn.Server(uvicorn.Config(echo, **uvicorn_options(settings, Metrics())))
    with socket.create_server(("127.0.0.1", 0)) as bound:
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield f"ws://127.0.0.1:{bound.getsockname()[1]}"
        server.should_exit = True
        await serving


async def failed(url: str, **selection: list[str]) -> dict[str, str]:
    """What was wrong with the cases that failed."""
    try:
        await run_fuzzingclient(url, concurrency=8, **selection)
    except FailureError as error:
        return {
            result.case_id: f"{result.result} {result.result_close}"
            for result in error.results
            if not result.passed
        }
    return {}


@pytest.mark.parametrize("path", ["", "/direct"])
async def test_frames_are_treated_as_the_rfc_says(path: str) -> None:
    async with echoing() as url:
        wrong = await failed(url + path, exclude_cases=COMPRESSION)
        if new := sorted(wrong.keys() - KNOWN):  # the suite has deadlines; the machine may be busy
            wrong = await failed(url + path, cases=[*new, *KNOWN])

    assert wrong.keys() == KNOWN, wrong


async def test_compression_is_never_agreed_to() -> None:
    """A bomb of a kilobyte would be a megabyte, and each connection would cost 47 kB more."""
    async with echoing() as url, connect(url, compression="deflate") as socket:
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers


async def test_the_real_endpoint_survives_broken_frames(caplog: pytest.LogCaptureFixture) -> None:
    """It echoes nothing, so many cases fail; but none of them does any harm."""
    with serving(Settings(port=0, runner="thread", model=QUICK_MODEL)) as server:
        async with dial(server) as canary:
            await hear(canary)
            await failed(f"{server.ws}/v1/stream", cases=BREAKING)
            await check_alive(canary)
            async with asyncio.timeout(10):
                while server.metric("scribewire_sessions") > 1:
                    await asyncio.sleep(0.05)
        ended = server.metric("scribewire_sessions_closed_total")
        assert server.metric("scribewire_client_errors_total", code="internal") == 0
        assert server.metric("scribewire_refusals_total") == 0

    assert ended > 50
    said = [record.msg for record in caplog.records if record.levelname == "ERROR"]
    assert set(said) <= set(CLIENTS_FAULTS)
