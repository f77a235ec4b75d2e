"""Thousands of tiny messages are read a little at a time, on either event loop, and in order."""

import asyncio
import json
from collections.abc import Callable

import pytest
import uvloop
from websockets.asyncio.client import connect

from gateway.direct import DirectProtocol
from gateway.fair_reading import READ_BYTES
from gateway.server import run_in_background
from gateway.settings import Settings

PINGS = 2000
SETTINGS = Settings(
    port=0, runner="thread", model="tests.engine.models.doubles:OneWordASecondModel",
    max_messages_per_s=10_000, outbox_events=2 * PINGS,
)  # fmt: skip


class Turns:
    """Counts the turns of the event loop."""

    def __init__(self) -> None:
        self.count = 0
        self._next()

    def _next(self) -> None:
        self.count += 1
        asyncio.get_running_loop().call_soon(self._next)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_flood_is_read_in_small_pieces_between_which_others_have_their_turn(
    monkeypatch: pytest.MonkeyPatch, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    sizes = []
    read = DirectProtocol.data_received

    def noted(self: DirectProtocol, data: bytes) -> None:
        sizes.append(len(data))
        read(self, data)

    monkeypatch.setattr(DirectProtocol, "data_received", noted)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        answers, turns = runner.run(ping())

    assert answers == [str(i) for i in range(PINGS)]
    assert max(sizes) <= READ_BYTES
    assert turns > PINGS / 20


async def ping() -> tuple[list[str], int]:
    """The ids of all answers, and the turns that the event loop took meanwhile."""
    async with (
        run_in_background(SETTINGS) as url,
        connect(f"{url}/v1/stream", compression=None) as socket,
    ):
        await socket.recv()
        frames = [json.dumps({"type": "ping", "id": str(i)}) for i in range(PINGS)]
        turns = Turns()
        await asyncio.gather(*(socket.send(frame) for frame in frames))
        answers = [json.loads(await socket.recv())["id"] for _ in range(PINGS)]
        return answers, turns.count
