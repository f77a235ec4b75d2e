"""The page with the switch for a thin link: a tenth of the bytes, the same captions."""

import pytest
from playwright.async_api import Page, expect

from tests.conftest import Server
from tests.page.browser import (
    CuttableProxy,
    drop,
    finals,
    heard_in,
    keep_captured,
    keep_sent,
    start,
    stop,
    words,
)
from tests.page.conftest import OpenPage
from tests.page.microphone import needs_microphone, whole_recording
from tests.page.test_losing_the_connection import CUT, port_of
from tests.speech import speech

pytestmark = pytest.mark.timeout(60)


async def choose_opus(page: Page) -> None:
    await page.get_by_role("button", name="Settings").click()
    await page.get_by_label("as Opus").check()
    await page.keyboard.press("Escape")


@needs_microphone
async def test_what_is_spoken_is_read(server: Server, open_page: OpenPage) -> None:
    page = await open_page(server.http, speaks="beckett.wav", permissions=["microphone"])
    sent = keep_sent(page)
    captured = await keep_captured(page)
    await choose_opus(page)
    await start(page)
    await expect(finals(page)).to_have_count(4)
    await stop(page)

    said = words(await finals(page).all_text_contents())
    assert said == await heard_in(server, b"".join(sent), "encoding=opus")
    async with whole_recording("beckett.wav", captured):
        assert said[:4] == ["ever", "tried", "ever", "failed"]
    status = await page.get_by_role("status").text_content() or ""
    seconds = float(status.split("Finished: 0:")[1].split()[0])
    sizes = [len(message) for message in sent]
    assert 1000 * seconds < sum(sizes) < 5000 * (seconds + 1)
    assert max(sizes) < 2000


async def test_a_file_goes_on_after_a_cut(server: Server, open_page: OpenPage) -> None:
    async with CuttableProxy(port_of(server)) as proxy:
        page = await open_page(f"{proxy.http}/?encoding=opus", forgive=CUT)
        sent = keep_sent(page)
        await drop(page, speech("beckett.wav"))
        await expect(finals(page).nth(1)).to_be_visible()
        proxy.cut()
        await expect(page.locator("#state")).to_have_text("Done")

        said = words(await finals(page).all_text_contents())
        assert said[:4] == ["ever", "tried", "ever", "failed"]
        assert 11 <= len(said) <= 13
        assert said[-1] == "better"
        await expect(page.get_by_role("status")).to_contain_text("Finished: 0:09 of audio")
        assert 0 < sum(map(len, sent)) < 100_000
