"""`scribewire serve --workers 2`: two gateway processes that look like one."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from websockets.exceptions import InvalidStatus

from gateway.client import connect
from gateway.listening import bind_each
from gateway.parts import CannotStartError
from gateway.settings import Settings
from tests.gateway.dialing import hear, hear_all
from tests.gateway.two_gateways import ROOT, WITHIN_S, WORKER, Gateways, two_gateways
from tests.speech import pcm16

SEVERAL = 7
"""Connections, of which each process gets some: 1 in 64 times it does not, and then the test is
weaker, not wrong."""

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    with two_gateways(tmp_path_factory.mktemp("workers")) as running:
        yield running


async def transcript(gateways: Gateways, kill: str = "") -> list[str]:
    """Finals of a session in whose middle the processes of a module are killed."""
    audio = pcm16("beckett.wav")[0]
    finals = []
    async with connect(gateways.server.ws, api_key=gateways.key) as session:

        async def speak() -> None:
            await session.send(audio[:128_000])
            while session.confirmed_samples == 0:
                await asyncio.sleep(0.02)
            if kill:
                await gateways.kill(kill)
            await session.send(audio[128_000:320_000])
            await session.stop()

        speaking = asyncio.create_task(speak())
        async with asyncio.timeout(WITHIN_S):
            async for event in session:
                if event["type"] == "final":
                    finals.append(event["text"])
            await speaking
    return finals


async def test_processes_that_are_killed_are_replaced_and_no_client_misses_a_sample(
    gateways: Gateways,
) -> None:
    whole = await transcript(gateways)

    assert len(whole) > 2
    assert await transcript(gateways, kill=WORKER) == whole
    assert await transcript(gateways, kill="engine.shared_child") == whole
    assert len(gateways.pids("engine.shared_child")) == 1  # one model for both
    assert len(gateways.pids(WORKER)) == 2


async def test_metrics_are_those_of_all_processes_together(gateways: Gateways) -> None:
    before = gateways.metric("scribewire_sessions_opened_total")
    sockets = [await gateways.dial() for _ in range(SEVERAL)]
    for socket in sockets:
        await hear(socket)
    shown = {gateways.metric("scribewire_sessions") for _ in range(SEVERAL)}
    for socket in sockets:
        await socket.close()
    async with asyncio.timeout(WITHIN_S):
        while gateways.metric("scribewire_sessions"):
            await asyncio.sleep(0.05)

    assert shown == {SEVERAL}
    assert gateways.metric("scribewire_sessions_opened_total") == before + SEVERAL
    assert gateways.metric("scribewire_model_ready") == 1


async def test_a_token_for_one_session_opens_one_in_all(gateways: Gateways) -> None:
    headers = {"Authorization": f"Bearer {gateways.key}"}
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{gateways.server.http}/v1/tokens", headers=headers)
    token = answer.json()["token"]

    async with gateways.dial(key=token) as socket:  # whichever process signed it
        assert (await hear(socket))["type"] == "ready"
        for _ in range(SEVERAL):
            with pytest.raises(InvalidStatus, match="401"):
                await gateways.dial(key=token)


def test_a_second_gateway_does_not_share_the_port_unasked(gateways: Gateways) -> None:
    port = int(gateways.server.ws.rsplit(":", 1)[1])

    with pytest.raises(CannotStartError, match="cannot listen"):
        bind_each(Settings(port=port), 2)


async def test_sigterm_drains_all_and_leaves_nothing(tmp_path: Path) -> None:
    with two_gateways(tmp_path) as gateways:
        family = psutil.Process(gateways.process.pid).children(recursive=True)
        sockets = [await gateways.dial() for _ in range(SEVERAL)]
        for socket in sockets:
            await hear(socket)
            await socket.send(pcm16("beckett.wav")[0][:64_000])
        gateways.process.send_signal(signal.SIGTERM)
        ends = [(await hear_all(socket))[-1]["type"] for socket in sockets]

        assert ends == ["done"] * SEVERAL
        assert {socket.close_code for socket in sockets} == {1012}
        assert await asyncio.to_thread(gateways.process.wait, WITHIN_S) == 0
        assert not any(each.is_running() for each in family)
        draining = [line["worker"] for line in gateways.logged if line["event"] == "draining"]
        assert sorted(draining) == [0, 1]


async def test_what_cannot_start_is_one_sentence() -> None:
    process = await asyncio.create_subprocess_exec(
        Path(sys.prefix) / "bin" / "scribewire", "serve", "--workers", "2", "--port", "0",
        "--model", "nonsense", cwd=ROOT, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(WITHIN_S):
        _, err = await process.communicate()

    assert process.returncode == 1
    assert err.decode().startswith("scribewire: there is no model 'nonsense'")
    assert err.decode().count("\n") == 1
