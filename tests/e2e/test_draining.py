"""A gateway is replaced while people speak: none of them notices."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.client import Event, connect
from tests.chaos import chaos
from tests.e2e.test_resuming import MODEL, RATE, SPEECH, codes, finals, speak
from tests.gateway.test_server import Gateway, gateway

pytestmark = pytest.mark.timeout(60)

ARGUMENTS = ("--model", MODEL, "--runner", "thread")
SPEAKERS = 2
SAID = SPEECH[: 2 * RATE * 18]


async def drained(running: Gateway) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=running.server.http, trust_env=False) as client:
        answer = await client.post("/admin/drain")
    assert answer.status_code == 202
    said: dict[str, Any] = answer.json()
    return said


async def test_a_restart_without_downtime(tmp_path: Path) -> None:
    """Two processes behind a TCP balancer: the first is drained amid speech, and ends."""
    async with (
        gateway(tmp_path / "first", *ARGUMENTS) as first,
        gateway(tmp_path / "second", *ARGUMENTS) as second,
        chaos(first.server.ws) as balancer,
    ):
        clean = await spoken(second.server.ws, asyncio.Event(), pause_s=0.002)
        amid = asyncio.Event()
        speakers = [asyncio.create_task(spoken(balancer.url, amid)) for _ in range(SPEAKERS)]
        await amid.wait()
        balancer.target = second.server.ws
        answer = await drained(first)
        code = await first.ended()
        transcripts = await asyncio.gather(*speakers)

    assert answer == {"status": "draining", "sessions": SPEAKERS, "within_s": 10.0}
    assert code == 0
    assert first.logged()[:2] == [
        line for line in first.logged() if line["event"] in ("drain_asked_for", "draining")
    ]
    assert len(finals(clean)) > 3
    for events in transcripts:
        assert finals(events) == finals(clean)
        assert codes(events) == {"shutting_down"}
        assert [event["resumed"] for event in events if event["type"] == "ready"] == [False]
        assert events[-1]["type"] == "done"


async def spoken(url: str, amid: asyncio.Event, pause_s: float = 0.01) -> list[Event]:
    """All events of a session; ``amid`` is set when a segment is over, and others follow."""
    events = []
    async with connect(url) as session:
        speaking = asyncio.create_task(speak(session, SAID, pause_s))
        async for event in session:
            events.append(event)
            if event["type"] == "final":
                amid.set()
        await speaking
    return events
