"""What happens to a conversation when something else goes wrong: nothing."""

import asyncio
import os
import random
import signal
from contextlib import suppress

import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateway.settings import Settings
from tests.conftest import Server, serving
from tests.e2e.dialogue import Offline, converse
from tests.speech import pcm16

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def offline() -> Offline:
    return Offline()


def model_processes() -> list[psutil.Process]:
    """Children of this process that run a model."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it was killed, and nobody has looked after it yet
            if "engine.runner_child" in " ".join(child.cmdline()):
                found.append(child)
    return found


async def test_killing_the_models_process_changes_no_word(offline: Offline) -> None:
    """P3: three kills and a stop while 44 s are spoken; the client sees no error."""
    audio, rate = pcm16("two_cities.wav")
    with serving(Settings(port=0, runner="process")) as server:

        async def strike() -> int:
            strikes = 0
            for each in (signal.SIGKILL, signal.SIGSTOP, signal.SIGKILL, signal.SIGKILL):
                await asyncio.sleep(random.uniform(0.2, 1.5))
                for process in model_processes():
                    os.kill(process.pid, each)
                    strikes += 1
            return strikes

        striking = asyncio.create_task(strike())
        dialogue = await converse(
            server.ws, audio, bytes_per_second=2 * rate, speed=4, query=f"sample_rate={rate}"
        )
        assert await striking >= 3
        restarts = server.metric("scribewire_model_restarts")

    assert restarts >= 2
    assert [f["text"] for f in dialogue.of("final")] == [
        f.text for f in offline.finals(audio, rate)
    ]
    assert not dialogue.of("error")
    assert dialogue.retractions() == 0
    assert dialogue.close_code == 1000


async def test_sessions_beside_each_other_say_what_they_say_alone(
    server: Server, offline: Offline
) -> None:
    """P2, through the whole of the server."""
    audio, _ = pcm16("beckett.wav")
    pieces = [audio[start * 32_000 :] for start in range(8)]

    dialogues = await asyncio.gather(*(converse(server.ws, piece, speed=2) for piece in pieces))

    for piece, dialogue in zip(pieces, dialogues, strict=True):
        assert [f["text"] for f in dialogue.of("final")] == [f.text for f in offline.finals(piece)]


async def vandal(url: str, seed: int) -> None:
    """Opens a session, sends what no client should, and leaves without a word."""
    noise = random.Random(seed)
    async with connect(f"{url}/v1/stream", compression=None) as socket:
        for _ in range(30):
            kind = noise.randrange(4)
            if kind == 0:
                await socket.send(noise.randbytes(noise.randrange(1, 5000)))
            elif kind == 1:
                await socket.send(noise.randbytes(50).decode("latin-1"))
            elif kind == 2:
                await socket.send('{"type": "configure", "endpoint_ms": 1e999}')
            else:
                await socket.send('{"type": "finalize", "id": 7}')
        if noise.random() < 0.3:
            await socket.send(bytes(2_000_000))  # over the frame limit: 1009
        if noise.random() < 0.5:
            socket.transport.abort()


async def test_vandals_are_not_noticed_by_others(server: Server, offline: Offline) -> None:
    audio, _ = pcm16("beckett.wav")

    async def vandalise() -> None:
        for seed in range(40):
            try:
                await vandal(server.ws, seed)
            except ConnectionClosed:
                continue

    vandals = asyncio.create_task(vandalise())
    dialogue = await converse(server.ws, audio, speed=4)
    await vandals

    assert [f["text"] for f in dialogue.of("final")] == [f.text for f in offline.finals(audio)]
    assert not dialogue.of("error")
    async with asyncio.timeout(10):
        while server.metric("scribewire_sessions"):
            await asyncio.sleep(0.1)
    assert server.get("/readyz").status_code == 200


async def test_a_client_that_sends_faster_than_allowed_is_told_and_closed(server: Server) -> None:
    hour = pcm16("two_cities.wav")[0] * 8

    async with connect(f"{server.ws}/v1/stream", compression=None) as socket:
        with suppress(ConnectionClosed):
            for at in range(0, len(hour), 500_000):
                await socket.send(hour[at : at + 500_000])
        await socket.wait_closed()
        assert socket.close_code == 4503
