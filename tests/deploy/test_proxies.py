"""Sessions, uploads and viewers through real proxies, configured as shipped."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, Server, serving
from tests.deploy.files import DEPLOY, load
from tests.deploy.proxies import PROXIES, Proxy, address
from tests.e2e.test_uploads import wav
from tests.gateway.dialing import dial, hear, hear_all
from tests.gateway.test_server import gateway
from tests.speech import pcm16

PCM, RATE = pcm16("two_cities.wav")
SAID = PCM[: 2 * RATE * 8]
ELSEWHERE = {"X-Forwarded-For": "203.0.113.7"}


@pytest.fixture(scope="module")
def alone() -> Iterator[Server]:
    """A gateway that lets a client's address have one session."""
    settings = Settings(port=0, runner="thread", model=QUICK_MODEL, max_sessions_per_address=1)
    with serving(settings) as running:
        yield running


@pytest.fixture(scope="module", params=PROXIES)
def proxy(
    request: pytest.FixtureRequest, alone: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """In front of that gateway."""
    with PROXIES[request.param](tmp_path_factory.mktemp(request.param), [address(alone)]) as proxy:
        yield proxy


def client(proxy: Proxy) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=proxy.server.http, verify=proxy.tls, trust_env=False)


async def said(server: Server, query: str = "", **options: Any) -> list[dict[str, Any]]:
    """All messages of a session in which the recording is spoken."""
    async with dial(server, f"sample_rate={RATE}&{query}", **options) as socket:
        for at in range(0, len(SAID), RATE // 5):
            await socket.send(SAID[at : at + RATE // 5])
        await socket.send(json.dumps({"type": "stop"}))
        return await hear_all(socket)


def finals(messages: list[dict[str, Any]]) -> list[str]:
    return [each["text"] for each in messages if each["type"] == "final"]


async def test_a_session_is_as_without_a_proxy(alone: Server, proxy: Proxy) -> None:
    direct = await said(alone)
    proxied = await said(proxy.server, ssl=proxy.tls)

    assert finals(direct)
    assert finals(proxied) == finals(direct)
    assert proxied[-1]["type"] == "done"


async def test_the_gateway_knows_the_clients_address(proxy: Proxy) -> None:
    """Seen by the limit for addresses, from which this machine's own are exempt."""
    held = {"additional_headers": ELSEWHERE, "ssl": proxy.tls}
    async with dial(proxy.server, **held) as first:  # a further proxy says it, on this machine
        await hear(first)
        with pytest.raises(InvalidStatus) as refusal:
            await dial(proxy.server, **held)
        # Who is no proxy may claim what he likes: his own address counts.
        async with dial(proxy.server, **held, local_addr=("127.0.0.2", 0)) as another:
            await hear(another)
    assert refusal.value.response.status_code == 429


async def test_captions_reach_a_viewer_as_they_are_said(proxy: Proxy) -> None:
    async with (
        client(proxy) as http,
        dial(proxy.server, f"sample_rate={RATE}&publish=hall", ssl=proxy.tls) as speaker,
    ):
        await hear(speaker)
        async with http.stream("GET", "/v1/rooms/hall/events") as events:
            await speaker.send(SAID)  # and no more: the session stays open
            async for line in events.aiter_lines():
                if line.startswith("data: ") and json.loads(line[6:])["type"] == "partial":
                    break
    assert events.headers["content-type"].startswith("text/event-stream")
    assert json.loads(line[6:])["unstable"]


async def test_an_uploads_text_comes_while_it_is_found(proxy: Proxy) -> None:
    async with client(proxy) as http:
        answer = await http.post(
            "/v1/audio/transcriptions", files={"file": ("speech.wav", wav(SAID, RATE))},
            data={"model": "any", "stream": "true"}, timeout=20,
        )  # fmt: skip
    lines = [line for line in answer.text.splitlines() if line]
    kinds = [json.loads(line[6:])["type"] for line in lines[:-1]]
    assert "transcript.text.delta" in kinds
    assert (kinds[-1], lines[-1]) == ("transcript.text.done", "data: [DONE]")


@pytest.mark.parametrize("path", ["/admin/drain", "//admin/drain", "/x/../admin/drain"])
async def test_the_operators_paths_are_not_for_clients(proxy: Proxy, path: str) -> None:
    async with client(proxy) as http:
        request = http.build_request("POST", proxy.server.http)
        request.url = request.url.copy_with(raw_path=path.encode())
        answer = await http.send(request)
    assert answer.status_code == 403


@pytest.mark.parametrize("name", PROXIES)
async def test_newcomers_go_past_a_gateway_that_drains(name: str, tmp_path: Path) -> None:
    model = ("--model", QUICK_MODEL, "--runner", "thread")
    (tmp_path / name).mkdir()
    async with gateway(tmp_path / "a", *model) as a, gateway(tmp_path / "b", *model) as b:
        both = [address(each.server) for each in (a, b)]
        with PROXIES[name](tmp_path / name, both) as proxy:
            async with httpx.AsyncClient(trust_env=False) as http:
                await http.post(f"{a.server.http}/admin/drain")
            for _ in range(6):
                async with dial(proxy.server, ssl=proxy.tls) as socket:
                    assert (await hear(socket))["type"] == "ready"
                await asyncio.sleep(0.05)
            assert await a.ended() == 0


def seconds(text: str) -> float:
    return float(text.rstrip("s"))


def test_both_wait_longer_than_a_session_may_be_silent() -> None:
    config = (DEPLOY / "nginx.conf").read_text()
    waits = re.findall(r"proxy_(?:read|send)_timeout (\d+s);", config)
    [listener] = load("envoy.yaml")["static_resources"]["listeners"]
    http = listener["filter_chains"][0]["filters"][0]["typed_config"]
    *_, route = http["route_config"]["virtual_hosts"][0]["routes"]

    assert len(waits) == 2
    for wait in [*waits, http["stream_idle_timeout"]]:
        assert seconds(wait) > Settings().idle_timeout_s
    assert [seconds(each) for each in (http["request_timeout"], route["route"]["timeout"])] == [
        0,
        0,
    ]
    assert f"127.0.0.1:{Settings().port};" in config
