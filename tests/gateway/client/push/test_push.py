"""A room's words at a caption service, over networks that break on both sides."""

import asyncio

import pytest

from gateway.client import SessionError
from gateway.client.push.address import CaptionAddress
from gateway.client.push.poster import AddressRefused
from gateway.client.push.push import push
from tests.conftest import Server
from tests.gateway.client.push.caption_service import CUT, LATE, caption_service
from tests.gateway.client.push.test_poster import QUICK, STEADY
from tests.page.browser import CuttableProxy
from tests.page.speaking_rooms import speaking

pytestmark = pytest.mark.timeout(20)


async def ended(pushing: "asyncio.Task[None]") -> None:
    pushing.cancel()
    await asyncio.gather(pushing, return_exceptions=True)


async def started(told: list[str]) -> None:
    while not any("is posted" in line for line in told):
        await asyncio.sleep(0.005)


async def test_what_is_said_from_now_on_is_posted_once_whatever_breaks() -> None:
    told: list[str] = []
    async with (
        caption_service(200, 500, LATE, CUT) as service,
        speaking("hall") as speaker,
        CuttableProxy(speaker.port) as network,
    ):
        service.last = 6
        speaker.final(" Said before.")
        to = CaptionAddress.parse(service.url, "zoom")
        url = network.http.replace("http", "ws")
        pushing = asyncio.create_task(push(url, "hall", to, tell=told.append, patience=QUICK))
        await started(told)
        speaker.partial(" Not", " yet")
        speaker.final(" One.")
        await service.until(1)
        network.cut()
        for text in (" Two.", " Three."):
            speaker.final(text)
        await service.until(3)
        speaker.segment = 2  # a session that goes on from a checkpoint says a final again
        speaker.final(" Two.")
        speaker.segment = 4
        speaker.final(" 委員会は再び会合を開きました。", "ja")
        await service.until(4)
        await ended(pushing)

    assert list(service.taken) == [7, 8, 9, 10]
    expected = ["One.", "Two.", "Three.", "委員会は再び会合を開きました。"]
    assert [each.decode() for each in service.taken.values()] == expected
    assert set(service.languages) == {"en-US", "jp-JP"}
    assert told[-1] == "To go on later: --first 11"


async def test_it_ends_when_the_address_is_refused() -> None:
    told: list[str] = []
    async with caption_service(403) as service, speaking("hall") as speaker:
        to = CaptionAddress.parse(service.url, "youtube")
        url = f"ws://127.0.0.1:{speaker.port}"
        pushing = asyncio.create_task(push(url, "hall", to, tell=told.append, patience=STEADY))
        await started(told)
        speaker.final(" One.")
        with pytest.raises(AddressRefused):
            await pushing
    assert told[-1] == "To go on later: --first 2"


async def test_a_room_that_cannot_be_is_an_error(server: Server) -> None:
    to = CaptionAddress.parse("http://127.0.0.1:9/", "youtube")
    with pytest.raises(SessionError) as refusal:
        await push(server.ws, "no such room", to, tell=lambda line: None)

    assert refusal.value.code == "invalid_option"
