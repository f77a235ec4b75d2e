"""The network cuts the connection: the page comes back, nothing is lost and nothing said twice."""

import asyncio
import re
from contextlib import ExitStack
from itertools import pairwise

import pytest
from playwright.async_api import Page, Route, WebSocketRoute, expect

from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, Server, serving
from tests.page.browser import (
    CuttableProxy,
    cues,
    drop,
    finals,
    heard_in,
    keep_captured,
    start,
    stop,
    words,
)
from tests.page.conftest import OpenPage
from tests.page.microphone import needs_microphone, whole_recording
from tests.speech import speech

pytestmark = pytest.mark.timeout(100)

CUT = "net::ERR_|426"
"""In what Chromium writes to the console about connections that fail.

426 is the answer to a page that asks why, when by then it would not be refused.
"""


async def uncut(server: Server, open_page: OpenPage, name: str) -> list[tuple[str, int, int]]:
    """The captions of a file over a connection that holds."""
    page = await open_page(server.http)
    await drop(page, speech(name))
    await expect(page.locator("#state")).to_have_text("Done")
    return await cues(page)


def unconfirmed_until_it_is_back(page: WebSocketRoute) -> None:
    """The first connection carries everything but what confirms audio."""
    gateway = page.connect_to_server()
    if "resume=" in page.url:
        return

    def pass_on(message: str | bytes) -> None:
        if '"type":"confirmed"' not in str(message).replace(" ", ""):
            page.send(message)

    gateway.on_message(pass_on)


async def times(page: Page) -> list[str]:
    return await page.locator("#finals time").all_text_contents()


async def test_a_file_goes_on_after_each_cut(server: Server, open_page: OpenPage) -> None:
    expected = await uncut(server, open_page, "endgame_nagg_nell.wav")
    async with CuttableProxy(port_of(server)) as proxy:
        page = await open_page(proxy.http, forgive=CUT)
        await drop(page, speech("endgame_nagg_nell.wav"))
        before: list[str] = []
        for count in (1, 4, 7):
            await expect(finals(page).nth(count)).to_be_visible()
            proxy.cut()
            now = await finals(page).all_text_contents()
            assert now[: len(before)] == before
            before = now
        await expect(page.locator("#state")).to_have_text("Done")

        now = await finals(page).all_text_contents()
        assert now[: len(before)] == before
        got = await cues(page)

    assert got == expected


@needs_microphone
async def test_what_is_said_meanwhile_is_not_lost(server: Server, open_page: OpenPage) -> None:
    async with CuttableProxy(port_of(server)) as proxy:
        page = await open_page(proxy.http, speaks="beckett.wav", forgive=CUT)
        captured = await keep_captured(page)
        await start(page)
        await expect(finals(page)).not_to_have_count(0)
        await expect(page.locator("#partial .text")).not_to_have_text("")
        proxy.refusing = True
        proxy.cut()

        await expect(page.locator("#state")).to_have_text("Reconnecting")
        await expect(page.get_by_role("status")).to_contain_text("The connection was lost.")
        before = await finals(page).count()
        await asyncio.sleep(4)  # two sentences are spoken
        assert await finals(page).count() == before
        proxy.refusing = False

        await expect(page.locator("#state")).to_have_text("Listening")
        await expect(page.get_by_role("status")).to_have_text("Connected again. Nothing was lost.")
        async with whole_recording("beckett.wav", captured):
            await expect(finals(page)).to_have_count(6)
        await stop(page)

        said = words(await finals(page).all_text_contents())
        assert said == await heard_in(server, (await captured()).tobytes())
        async with whole_recording("beckett.wav", captured):
            assert said[:6] == ["ever", "tried", "ever", "failed", "no", "matter"]
            assert len(said) == 12
        assert await times(page) == sorted(await times(page))
        await expect(page.locator("#partial")).to_be_hidden()


@pytest.mark.parametrize("confirmed", [True, False])
async def test_audio_that_had_to_be_dropped_is_told(
    server: Server, open_page: OpenPage, confirmed: bool
) -> None:
    """Also if the cut came between a final and what confirms its audio."""

    async def forget_sooner(route: Route) -> None:
        reply = await route.fetch()
        source = (await reply.text()).replace("KEEP_MS = 300_000", "KEEP_MS = 1_000")
        await route.fulfill(response=reply, body=source)

    async with CuttableProxy(port_of(server)) as proxy:
        page = await open_page(proxy.http, speaks="beckett.wav", forgive=CUT)
        await page.route("**/static/scribewire.js", forget_sooner)
        if not confirmed:
            await page.route_web_socket("**/v1/stream?**", unconfirmed_until_it_is_back)
        await page.reload()
        await start(page)
        await expect(finals(page).first).to_be_visible()
        proxy.refusing = True
        proxy.cut()
        await asyncio.sleep(4)
        proxy.refusing = False

        lost = re.compile(r"\d+ s of audio had to be dropped")
        await expect(page.get_by_role("status")).to_contain_text(lost)
        await expect(page.locator("#state")).to_have_text("Listening")


async def test_a_server_that_stays_away_can_be_given_up(
    server: Server, open_page: OpenPage
) -> None:
    async with CuttableProxy(port_of(server)) as proxy:
        page = await open_page(proxy.http, speaks="beckett.wav", forgive=CUT)
        await start(page)
        await expect(page.locator("#partial .text")).not_to_have_text("")
        proxy.refusing = True
        proxy.cut()
        await expect(page.locator("#state")).to_have_text("Reconnecting")

        await page.locator("#start").click()
        either = re.compile("Press (again|the button) to end without it.")
        await expect(page.get_by_role("status")).to_contain_text(either)
        # Nor is it forgotten when a further attempt has failed.
        told = re.compile(
            "Trying again in .*, to send the rest. Press the button to end without it."
        )
        await expect(page.get_by_role("status")).to_contain_text(told)
        await page.locator("#start").click()
        await expect(page.locator("#state")).to_have_text("Stopped")
        # What was seen is kept, though it was not final.
        await expect(page.locator("#finals .unfinished")).to_have_count(1)


async def test_a_server_that_is_not_there_is_told_at_once(
    server: Server, open_page: OpenPage
) -> None:
    async with CuttableProxy(port_of(server)) as proxy:
        page = await open_page(proxy.http, forgive=CUT)
        proxy.refusing = True
        proxy.cut()
        await drop(page, speech("clone-test.wav"))

        await expect(page.get_by_role("status")).to_contain_text("The server cannot be reached.")
        await expect(page.locator("#state")).to_have_text("Stopped")


async def test_a_server_that_restarts_is_found_again(open_page: OpenPage) -> None:
    settings = Settings(port=0, runner="thread", model=QUICK_MODEL)
    with serving(settings) as second, ExitStack() as first:
        async with CuttableProxy(port_of(first.enter_context(serving(settings)))) as proxy:
            page = await open_page(proxy.http, speaks="beckett.wav", forgive=CUT)
            await start(page)
            await expect(page.locator("#partial .text")).not_to_have_text("")
            proxy.port = port_of(second)
            await asyncio.to_thread(first.close)  # says its finals, `done` and 1012

            await expect(finals(page)).not_to_have_count(0)
            await expect(page.get_by_role("status")).to_have_text(
                "Connected again. Nothing was lost."
            )
            await expect(page.locator("#state")).to_have_text("Listening")
            count = await finals(page).count()
            await expect(finals(page).nth(count)).to_be_visible()
            await stop(page)
            captions = await cues(page)
    assert all(a[2] <= b[1] for a, b in pairwise(captions))


async def test_a_drain_amid_a_file_changes_no_caption(open_page: OpenPage) -> None:
    """The model's words are digests of the audio: a cut amid a segment would show."""
    quick, slow = (
        # So that a good part of the file is not yet sent when the first of its words are there.
        Settings(port=0, runner="thread", model=f"tests.page.doubles:{model}", max_backlog_ms=1000)
        for model in ("DigestModel", "SlowingDigestModel")
    )
    file = speech("two_cities.wav")
    with serving(quick) as second, ExitStack() as first:
        async with CuttableProxy(port_of(first.enter_context(serving(slow)))) as proxy:
            expected = await uncut(second, open_page, file.name)
            page = await open_page(proxy.http, forgive=CUT)
            await drop(page, file)
            await expect(finals(page).nth(0)).to_be_visible()
            proxy.port = port_of(second)
            await asyncio.to_thread(first.close)
            await expect(page.locator("#state")).to_have_text("Done")
            got = await cues(page)
        assert second.metric("scribewire_sessions_opened_total") == 2

    assert got == expected


def port_of(server: Server) -> int:
    return int(server.ws.rsplit(":", 1)[1])
