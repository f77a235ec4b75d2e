"""A room in a terminal: whoever follows misses nothing, and is told when it is no use."""

import asyncio
import io

import pytest
from rich.console import Console

from gateway.client import SessionError
from gateway.client.watch import follow, watch
from gateway.rooms.correction import Correction
from tests.conftest import Server
from tests.page.browser import CuttableProxy
from tests.page.speaking_rooms import speaking

pytestmark = pytest.mark.timeout(20)


async def test_what_was_missed_follows_after_a_lost_connection() -> None:
    async with speaking("hall") as speaker, CuttableProxy(speaker.port) as network:
        lost: list[str] = []
        messages = follow(network.http, "hall", lost=lambda error: lost.append(error.code))
        speaker.final(" One.")
        texts = [(await anext(messages))["text"]]
        network.cut()
        speaker.final(" Two.")
        speaker.final(" Three.")
        texts += [(await anext(messages))["text"] for _ in range(2)]
        await messages.aclose()

    assert texts == [" One.", " Two.", " Three."]
    assert lost == ["connection_lost"]


async def test_finals_are_lines() -> None:
    written = io.StringIO()
    async with speaking("hall") as speaker:
        url = f"ws://127.0.0.1:{speaker.port}"
        speaker.partial(" One", " tw")
        speaker.final(" One two.")
        speaker.final(" [bold]Three.")
        watching = asyncio.create_task(watch(url, "hall", None, Console(file=written)))
        while "Three" not in written.getvalue():
            await asyncio.sleep(0.01)
        better = Correction(type="correct", segment=0, text="One, two.", revision=0)
        await speaker.rooms.correct(None, "hall", better)
        while "One, two." not in written.getvalue():
            await asyncio.sleep(0.01)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    lines = [line for line in written.getvalue().splitlines() if line.strip()]
    assert lines[:3] == ["One two.", "[bold]Three.", "corrected: One, two."]


async def test_a_room_that_cannot_be_is_an_error(server: Server) -> None:
    with pytest.raises(SessionError) as refusal:
        await anext(follow(server.ws, "no such room"))

    assert refusal.value.code == "invalid_option"
