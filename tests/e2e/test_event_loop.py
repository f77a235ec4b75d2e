"""Nothing that gateway and engine do on the event loop waits for a file, a socket or a lock."""

import asyncio
import logging
from collections.abc import Iterator

import httpx
import pytest
from blockbuster import blockbuster_ctx
from openai import AsyncOpenAI

from gateway.settings import Settings
from tests.conftest import Server, serving
from tests.e2e.dialogue import converse
from tests.speech import pcm16, speech

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def watched() -> Iterator[Server]:
    """A gateway whose blocking calls raise, once it has started."""
    with (
        serving(Settings(port=0, runner="process")) as server,
        blockbuster_ctx(scanned_modules=["gateway", "engine"]),
    ):
        yield server


async def test_sessions_uploads_and_pages_never_block(
    watched: Server, caplog: pytest.LogCaptureFixture
) -> None:
    audio, rate = pcm16("beckett.wav")
    audio = audio[: 2 * rate * 6]
    paths = [
        "/",
        "/watch",
        "/overlay",
        "/monitor",
        "/static/scribewire.js",
        "/metrics",
        "/healthz",
        "/readyz",
        "/v1/models",
    ]

    async def upload() -> str:
        content = await asyncio.to_thread(speech("beckett.wav").read_bytes)
        async with AsyncOpenAI(base_url=f"{watched.http}/v1", api_key="none") as client:
            answer = await client.audio.transcriptions.create(
                model="whisper-1", file=("beckett.wav", content)
            )
        return answer.text

    async with httpx.AsyncClient(base_url=watched.http, trust_env=False) as http:
        first, second, text, *pages = await asyncio.gather(
            converse(watched.ws, audio, speed=4),
            converse(watched.ws, audio, speed=4, query="chunk_ms=auto&stream_tokens=true"),
            upload(),
            *(http.get(path) for path in paths),
        )
        refused = await http.get("/nowhere")

    assert first.text == second.text != ""
    assert text
    assert [page.status_code for page in pages] == [200] * len(paths)
    assert refused.status_code == 404
    assert not first.of("error") + second.of("error")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
