"""How long a message takes from a room to each of many viewers.

Run it as ``python -m tests.measure_fan_out``.

One gateway, in a process of its own, with a producer that publishes partials and finals into a
room; viewers over real sockets here. Times are the system's monotonic clock, which both processes
share: from before a message is written for the room until it is read whole. Reading them here
takes processor time too, which on a small machine is part of the figures.
"""

import argparse
import asyncio
import json
import multiprocessing
import resource
import time
from multiprocessing.connection import Connection

import numpy as np
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from gateway.http.rooms import room_routes
from gateway.metrics import Metrics
from gateway.rooms import Rooms
from gateway.settings import Settings
from gateway.wire.messages import Final, Partial

EVERY_S = 0.2
"""Between messages, as from a session whose tokens are streamed."""
READY_WITHIN_S = 60


async def _serve(pipe: Connection, messages: int) -> None:
    settings, metrics = Settings(), Metrics()
    rooms = Rooms(settings, metrics)

    async def refuse(websocket: WebSocket, error: Exception) -> None:
        raise error

    app = Starlette(routes=room_routes(rooms, settings, metrics, refuse))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            port=0,
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            lifespan="off",
            log_level="warning",
            access_log=False,
        )
    )
    room = rooms.publish(None, "measured", "s", lambda: None)
    try:
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        pipe.send(server.servers[0].sockets[0].getsockname()[1])
        await asyncio.to_thread(pipe.recv)
        for i in range(messages):
            text = f"{time.monotonic_ns()} " + "words that were said, " * 5
            if i % 10:
                room.say(Partial(i // 10, i, text, "", 0, 0, "en", 0))
            else:
                room.say(Final(i // 10, text, False, 0, 0, "en", "silence"))
            await asyncio.sleep(EVERY_S)
        await asyncio.to_thread(pipe.recv)
        server.should_exit = True
        await serving
    finally:
        room.end()


def _gateway(pipe: Connection, messages: int) -> None:
    _allow_many_files()
    uvloop.run(_serve(pipe, messages))


def _allow_many_files() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _view(url: str, ready: asyncio.Semaphore, messages: int) -> list[float]:
    """Milliseconds of each message that came."""
    took: list[float] = []
    async with connect(url, compression=None, proxy=None, open_timeout=READY_WITHIN_S) as socket:
        ready.release()
        seq = 0
        while seq < messages:
            text = await socket.recv()
            read_at = time.monotonic_ns()
            said = json.loads(text)
            seq = said["seq"]
            sent_at = int((said.get("text") or said["stable"]).split()[0])
            took.append((read_at - sent_at) / 1e6)
    return took


async def _measure(pipe: Connection, viewers: int, messages: int) -> np.ndarray:
    url = f"ws://127.0.0.1:{pipe.recv()}/v1/rooms/measured"
    ready = asyncio.Semaphore(0)
    viewing = []
    for _ in range(viewers):  # one after another: a room full at once is another question
        viewing.append(asyncio.create_task(_view(url, ready, messages)))
        await asyncio.wait_for(ready.acquire(), READY_WITHIN_S)
    pipe.send("go")
    took = await asyncio.gather(*viewing)
    pipe.send("stop")
    return np.array([each for one in took for each in one])


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
    took = uvloop.run(_measure(ours, given.viewers, given.messages))
    process.join(30)
    p50, p95, p99 = np.percentile(took, [50, 95, 99])
    print(
        f"{given.viewers} viewers, {given.messages} messages, {took.size} deliveries: "
        f"p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms, most {took.max():.1f} ms"
    )


if __name__ == "__main__":
    main()
