"""The model's process that several gateway processes share; see `engine.shared_runner`.

``python -m engine.shared_child FD LISTENING_FD MODEL OPTIONS STEP_WITHIN_S``: FD is the pipe of the
supervisor, LISTENING_FD a Unix socket for gateways. Their batches are merged
(`engine.cluster.host`).
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from typing import Any

from engine.cluster.host import ModelHost
from engine.memory import TRIM_EVERY_S, FreeMemory, freeze_what_stays
from engine.messages import unpack_audio
from engine.pipe import READ_AHEAD_BYTES, Pipe

GONE = (OSError, asyncio.IncompleteReadError)
"""What is raised when the other end is gone."""


class SharedChild:
    """Serves gateways until the supervisor is gone, and then those that are still there."""

    def __init__(self, supervisor: Pipe, step_within_s: float) -> None:
        self._supervisor, self._step_within_s = supervisor, step_within_s
        self._host: ModelHost
        self._hello: dict[str, Any] = {}
        self._gateways: set[asyncio.Task[None]] = set()

    async def run(self, model: str, options: dict[str, Any], listening: socket.socket) -> None:
        """Until nobody is left."""
        attending = asyncio.create_task(self._attend())
        loading = asyncio.create_task(asyncio.to_thread(ModelHost, model, options))
        await asyncio.wait({attending, loading}, return_when=asyncio.FIRST_COMPLETED)
        if not loading.done():
            os._exit(0)  # the supervisor died meanwhile, and nothing stops a model that loads
        self._host = loading.result()
        self._hello = await self._host.hello()
        freeze_what_stays()
        self._supervisor.send(self._hello)
        trimming = asyncio.create_task(self._trim())
        server = await asyncio.start_unix_server(
            self._serve, sock=listening, limit=READ_AHEAD_BYTES
        )
        await attending
        server.close()
        while self._gateways:  # they drain, and their finals need the model
            await asyncio.wait(self._gateways)
        trimming.cancel()

    async def _attend(self) -> None:
        """Answers the supervisor, unless a batch hangs: who does not answer is replaced."""
        with contextlib.suppress(*GONE):
            while True:
                ping = await self._supervisor.receive()
                if self._host.at_it_s < self._step_within_s:
                    self._supervisor.send({"pong": ping["ping"]})

    async def _trim(self) -> None:
        memory = FreeMemory()
        while True:
            await asyncio.sleep(TRIM_EVERY_S)
            await self._host.load()  # drops what nobody has asked for in long
            await asyncio.to_thread(memory.give_back)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._gateways.add(task)
        pipe = Pipe(reader, writer)
        keys: set[tuple[str, int]] = set()
        calls: set[asyncio.Task[None]] = set()
        try:
            pipe.send(self._hello)
            while True:
                # Begun in their order: what is forgotten after a step is not kept by it.
                call = asyncio.create_task(self._take(pipe, await pipe.receive(), keys))
                calls.add(call)
                call.add_done_callback(calls.discard)
        except GONE:
            await asyncio.gather(*calls)
            await self._host.forget(list(keys))
        finally:
            pipe.close()
            self._gateways.discard(task)

    async def _take(self, pipe: Pipe, message: dict[str, Any], keys: set[tuple[str, int]]) -> None:
        if "forget" in message:
            over = [(key[0], key[1]) for key in message["forget"]]
            keys.difference_update(over)
            await self._host.forget(over)
            return
        keys.update((key[0], key[1]) for key in message["keys"])
        audio = unpack_audio(message)
        with contextlib.suppress(*GONE):
            async for told in self._host.step_telling(message["steps"], audio):
                pipe.send({"call": message["call"], "told": told})


async def main() -> None:
    """Serves as the arguments say."""
    fd, listening, model, options, step_within_s = sys.argv[1:]
    supervisor = await Pipe.over(socket.socket(fileno=int(fd)))
    child = SharedChild(supervisor, float(step_within_s))
    await child.run(model, json.loads(options), socket.socket(fileno=int(listening)))


if __name__ == "__main__":
    # The supervisor decides when this process ends, whoever else a signal was meant for.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    asyncio.run(main())
