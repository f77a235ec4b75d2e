"""One of the processes of ``scribewire serve --workers N``; `gateway.workers` starts and ends it.

``python -m gateway.worker_process FD LISTENING_FD``: FD is the supervisor's pipe, over which its
settings come, and all that a signal would say; LISTENING_FD its share of the port.
"""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
import uvloop

from engine.memory import freeze_what_stays
from engine.pipe import Pipe
from engine.shared_runner import SharedRunner
from gateway.log import configure_logging
from gateway.metrics import Metrics
from gateway.parts import CannotStartError, guard_of, runner_of
from gateway.rooms.news import MAX_BYTES, ROOMS
from gateway.rooms.shared import RoomsShared
from gateway.server import DrainingServer, assembled, start
from gateway.settings import Settings

LOOK_EVERY_S = 1.0
"""How old a gauge may be that another process shows."""


async def work(supervisor: Pipe, bound: socket.socket) -> None:
    """Serves until it is told to end, or the supervisor is gone."""
    supervisor.most_bytes = MAX_BYTES
    order = await supervisor.receive()
    settings = Settings(**order["settings"])
    configure_logging(settings)
    structlog.contextvars.bind_contextvars(worker=order["number"])
    metrics = Metrics()
    model = order["model"]
    try:
        guard = guard_of(settings, metrics, Path(order["used_tokens"]))
        runner = SharedRunner(Path(model)) if model else runner_of(settings)
        drain_all: Callable[[], None] = lambda: supervisor.send({"drain": 0})  # noqa: E731
        rooms = RoomsShared(settings, metrics, lambda text: supervisor.send({ROOMS: text}))
        async with assembled(settings, metrics, guard, runner, drain_all, rooms) as server:
            server.owns_process, server.last_words = False, rooms.silence
            serving = await start(server, bound, settings)
            freeze_what_stays()
            supervisor.send({"ready": 0})
            helpers = [asyncio.create_task(_obey(supervisor, server, rooms), name="supervisor"),
                       asyncio.create_task(_look(server), name="look")]  # fmt: skip
            await serving
            for helper in helpers:
                helper.cancel()
    except CannotStartError as error:
        supervisor.send({"failed": str(error)})
    supervisor.close()
    await supervisor.wait_closed()


async def _obey(supervisor: Pipe, server: DrainingServer, rooms: RoomsShared) -> None:
    does: dict[str, Callable[[], Any]] = {"stop": server.stop, "hang_up": server.hang_up}
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            message = await supervisor.receive()
            if ROOMS in message:
                rooms.take(message[ROOMS])
                await asyncio.sleep(0)  # much may have come at once
            elif "ping" in message:
                supervisor.send({"pong": 0})
            else:
                does[message["do"]]()
    rooms.lose()
    if not server.should_exit:
        server.stop()


async def _look(server: DrainingServer) -> None:
    while True:
        server.on_look()
        await asyncio.sleep(LOOK_EVERY_S)


def main() -> None:
    """Serves as the arguments say."""
    # Only the supervisor's word counts: a signal to all would otherwise come twice.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    pipe, listening = (socket.socket(fileno=int(each)) for each in sys.argv[1:])

    async def serve() -> None:
        await work(await Pipe.over(pipe), listening)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


if __name__ == "__main__":
    main()
