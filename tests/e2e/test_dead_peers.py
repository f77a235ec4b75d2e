"""Clients and disks that stop without a word: found out, and nothing is lost with them."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from gateway.client import connect, transcribe_pcm
from gateway.settings import Settings
from tests.chaos import chaos
from tests.conftest import Server, serving
from tests.gateway.test_server import READY, start
from tests.speech import speech_at

pytestmark = pytest.mark.timeout(60)

MODEL = "tests.engine.models.doubles:DigestModel"
RATE = 16_000
SPEECH = speech_at("two_cities.wav", RATE)[: 4 * RATE].tobytes()
CLIENT = """
import asyncio, json, sys
from gateway.client import connect, transcribe_pcm

async def speak():
    async with connect(sys.argv[1]) as session:
        pcm = sys.stdin.buffer.read()
        transcript = await transcribe_pcm(session, pcm, bytes_per_second=32_000, realtime=True)
        print(json.dumps([[final["text"], final["end_ms"]] for final in transcript.finals]))

asyncio.run(speak())
"""


async def finals(url: str) -> list[list[object]]:
    async with connect(url) as session:
        transcript = await transcribe_pcm(session, SPEECH, bytes_per_second=2 * RATE)
    return [[final["text"], final["end_ms"]] for final in transcript.finals]


async def until(server: Server, metric: str, value: float) -> None:
    async with asyncio.timeout(15):
        while await asyncio.to_thread(server.metric, metric) != value:
            await asyncio.sleep(0.1)


def impatient(**settings: float) -> Settings:
    return Settings(
        port=0, runner="thread", model=MODEL, ping_interval_s=0.3, ping_timeout_s=0.3, **settings
    )


async def test_a_client_that_is_stopped_loses_its_place_and_not_its_session() -> None:
    with serving(impatient()) as server:
        expected = await finals(server.ws)
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CLIENT, server.ws,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        speaking = asyncio.create_task(client.communicate(SPEECH))
        await until(server, "scribewire_sessions", 1)
        await asyncio.sleep(0.5)
        client.send_signal(signal.SIGSTOP)
        await until(server, "scribewire_sessions_detached", 1)
        assert server.metric("scribewire_sessions") == 0
        client.send_signal(signal.SIGCONT)
        said, _ = await speaking

        assert json.loads(said) == expected
        assert server.metric("scribewire_sessions_resumed_total", found="session") == 1


async def test_one_that_never_comes_back_is_forgotten() -> None:
    with serving(impatient(resume_window_s=0.5)) as server:
        async with chaos(server.ws) as network, connect(network.url, reconnect_s=0) as session:
            await session.send(SPEECH[: 2 * RATE])
            await until(server, "scribewire_audio_seconds_total", 1)
            network.stall()
            await until(server, "scribewire_sessions_detached", 1)
            await until(server, "scribewire_sessions_detached", 0)

        assert server.metric("scribewire_sessions_closed_total", code="1006") == 1


async def test_a_disk_that_is_full_of_logs_ends_no_session() -> None:
    with Path("/dev/full").open("wb") as full:  # noqa: ASYNC230 - a device
        process = await start(
            "--port", "0", "--model", MODEL, "--runner", "thread",
            stdout=asyncio.subprocess.PIPE, stderr=full,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = (await process.stdout.readline()).decode()
        url = line.removeprefix(READY).strip()
        assert await finals(url) == await finals(url)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
