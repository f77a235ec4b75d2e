"""How long a message takes from a room to each of many viewers, and what it costs.

Run it as ``python -m tests.measure_fan_out``.

One gateway process with a producer that says partials and finals in a room; viewers over real
sockets in another process, which does nothing but note when bytes came: a client's own work is
not part of the figure. Times are the system's monotonic clock, which the processes share: from
before a message is written for the room until a viewer has read all of it. The processor time that
the gateway spends on a delivery is printed beside them, since other work on the machine does not
change that much.
"""

import argparse
import asyncio
import multiprocessing
import os
import re
import resource
import selectors
import socket
import time
from multiprocessing.connection import Connection

import numpy as np
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.websockets import WebSocket

from gateway.access import AccessControl, Guard
from gateway.http.rooms import room_routes
from gateway.metrics import Metrics
from gateway.rooms import Rooms, RoomsHere
from gateway.server import uvicorn_options
from gateway.settings import Settings
from gateway.wire.messages import Final, Partial

EVERY_S = 0.2
"""Between messages, as from a session whose tokens are streamed."""
ROOM = "measured"
READY_WITHIN_S = 60
HANDSHAKE = (
    f"GET /v1/rooms/{ROOM} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
).encode()
SAID_AT = re.compile(rb"@([0-9]+)@")
"""When a message was said, in its text; each is far smaller than a segment of TCP."""


async def _serve(pipe: Connection, messages: int) -> None:
    settings, metrics = Settings(port=0), Metrics()
    rooms = RoomsHere(settings, metrics)

    async def refuse(websocket: WebSocket, error: Exception) -> None:
        raise error

    app = Starlette(
        routes=room_routes(rooms, settings, metrics, refuse),
        middleware=[Middleware(AccessControl, guard=Guard(settings), refused=lambda code: None)],
    )
    options = uvicorn_options(settings, metrics) | {"port": 0, "log_level": "warning"}
    server = uvicorn.Server(uvicorn.Config(app, **options))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    pipe.send(server.servers[0].sockets[0].getsockname()[1])
    await asyncio.to_thread(pipe.recv)
    before = time.process_time()
    await _speak(rooms, messages)
    pipe.send(time.process_time() - before)
    server.should_exit = True
    await serving


async def _speak(rooms: Rooms, messages: int) -> None:
    speaker = await rooms.publish(None, ROOM, "s", lambda: None)
    for i in range(messages):
        text = f"@{time.monotonic_ns()}@ " + "words that were said, " * 5
        if i % 10:
            speaker.say(Partial(i // 10, i, text, "", 0, 0, "en", 0))
        else:
            speaker.say(Final(i // 10, text, False, 0, 0, "en", "silence"))
        await asyncio.sleep(EVERY_S)


def _gateway(pipe: Connection, messages: int) -> None:
    _allow_many_files()
    uvloop.run(_serve(pipe, messages))


def _allow_many_files() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _viewer(port: int) -> socket.socket:
    """A socket that is past the handshake."""
    viewer = socket.create_connection(("127.0.0.1", port), READY_WITHIN_S)
    viewer.sendall(HANDSHAKE)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += viewer.recv(4096)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    viewer.setblocking(False)
    return viewer


def _read(viewers: list[socket.socket], deliveries: int) -> np.ndarray:
    """Milliseconds of each delivery."""
    took: list[float] = []
    with selectors.DefaultSelector() as selector:
        for viewer in viewers:
            selector.register(viewer, selectors.EVENT_READ)
        while len(took) < deliveries:
            ready = selector.select(READY_WITHIN_S)
            assert ready, f"only {len(took)} of {deliveries} messages came"
            for key, _ in ready:
                data = key.fileobj.recv(65_536)  # type: ignore[union-attr]
                read_at = time.monotonic_ns()
                assert data, "the gateway closed a viewer"
                took += [(read_at - int(said_at)) / 1e6 for said_at in SAID_AT.findall(data)]
    return np.array(took)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=100)
    given = parser.parse_args()
    _allow_many_files()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_gateway, args=(theirs, given.messages), daemon=True
    )
    process.start()
    port = ours.recv()
    viewers = [_viewer(port) for _ in range(given.viewers)]
    ours.send("go")
    took = _read(viewers, given.viewers * given.messages)
    cpu_us = ours.recv() / took.size * 1e6
    for viewer in viewers:
        viewer.close()
    process.join(30)
    p50, p95, p99 = np.percentile(took, [50, 95, 99])
    print(
        f"{given.viewers} viewers, {given.messages} messages, {took.size} deliveries: "
        f"p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms, most {took.max():.1f} ms; "
        f"{cpu_us:.1f} us of the gateway's processor a delivery; "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    )


if __name__ == "__main__":
    main()
