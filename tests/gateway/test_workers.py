"""`scribewire serve --workers 2`: two gateway processes that look like one."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets.exceptions import InvalidStatus

from gateway.access.keys import add_key
from gateway.client import connect
from gateway.listening import bind_each
from gateway.parts import CannotStartError
from gateway.settings import Settings
from tests.conftest import Server
from tests.gateway.dialing import dial, hear, hear_all
from tests.speech import pcm16

ROOT = Path(__file__).parents[2]
DIGESTS = "tests.engine.models.doubles:DigestModel"
SEVERAL = 7
"""Connections, of which each process gets some: 1 in 64 times it does not, and then the test is
weaker, not wrong."""
WITHIN_S = 30

pytestmark = pytest.mark.timeout(90)


class Gateways:
    """A running `scribewire serve --workers 2`."""

    def __init__(self, process: "subprocess.Popen[str]", keys: Path, log: Path) -> None:
        self.process, self.keys, self._log = process, keys, log
        self.key = add_key(keys, "tester", None, None)
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+?(?=/\s)", line)
        assert found is not None, line + log.read_text()
        self.server = Server("ws" + found[0].removeprefix("http"), Settings())

    @property
    def logged(self) -> list[dict[str, Any]]:
        """Lines of the log."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def pids(self, module: str) -> list[int]:
        """Processes that run a module, oldest first."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):  # it may just have ended
                if module in child.cmdline():
                    found.append(child.pid)
        return found

    def dial(self, query: str = "", key: str | None = None) -> Any:
        """A bare WebSocket with a key."""
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return dial(self.server, query, additional_headers=headers)

    def metric(self, name: str) -> float:
        """As any of the processes shows it."""
        return self.server.metric(name)

    async def kill(self, module: str) -> None:
        """Kills each process that runs a module, and waits until all have successors."""
        for pid in (before := self.pids(module)):
            os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(WITHIN_S):
            while len(set(self.pids(module)) - set(before)) < len(before):
                await asyncio.sleep(0.05)


@contextmanager
def two_gateways(folder: Path) -> Iterator[Gateways]:
    keys, log = folder / "keys.json", folder / "log"
    add_key(keys, "first", None, None)
    arguments = ["--workers", "2", "--port", "0", "--model", DIGESTS, "--keys-file", str(keys)]
    environment = {n: v for n, v in os.environ.items() if not n.startswith("SCRIBEWIRE_")}
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            [Path(sys.prefix) / "bin" / "scribewire", "serve", *arguments],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True,
        ) as process,
    ):  # fmt: skip
        try:
            running = Gateways(process, keys, log)
            process.send_signal(signal.SIGHUP)  # `tester` was added after the start
            deadline = time.monotonic() + WITHIN_S
            while [line["event"] for line in running.logged].count("keys_reloaded") < 2:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield running
        finally:
            process.kill()


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
    assert await transcript(gateways, kill="gateway.worker_process") == whole
    assert await transcript(gateways, kill="engine.shared_child") == whole
    assert len(gateways.pids("engine.shared_child")) == 1  # one model for both
    assert len(gateways.pids("gateway.worker_process")) == 2


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


async def test_rooms_are_refused_with_the_reason(gateways: Gateways) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        await gateways.dial("publish=lecture")
    headers = {"Authorization": f"Bearer {gateways.key}"}
    seen = gateways.server.get("/v1/rooms/lecture/events", **headers)

    said = json.loads(refusal.value.response.body or b"")
    assert (said["code"], seen.json()["code"]) == ("unsupported", "unsupported")
    assert "--workers" in said["message"]


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
