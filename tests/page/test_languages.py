"""Each language is told apart, said to be what it is, and written from its own side."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from gateway.settings import Settings
from tests.conftest import Server, serving
from tests.gateway.dialing import dial, hear_all
from tests.page.browser import finals, start, stop
from tests.page.conftest import OpenPage
from tests.page.doubles import PHRASES
from tests.page.speaking_rooms import SpeakerDouble, speaking
from tests.page.test_looks import MAX_BYTES, SCREENSHOTS, sticks_out
from tests.speech import pcm16

pytestmark = pytest.mark.timeout(60)

NAMES = {"en": "English", "ar": "Arabic", "ja": "Japanese"}
SIDES = {"en": "ltr", "ar": "rtl", "ja": "ltr"}
DESK = {"width": 960, "height": 560}


@pytest.fixture(scope="module")
def polyglot() -> Iterator[Server]:
    model = "tests.page.doubles:PolyglotModel"
    with serving(Settings(port=0, runner="thread", model=model)) as server:
        yield server


@pytest.fixture
async def speaker() -> AsyncIterator[SpeakerDouble]:
    async with speaking("hall") as speaker:
        for language, phrase in PHRASES.items():
            speaker.final(f" {phrase}", language)
        yield speaker


async def check(line: Locator, language: str) -> None:
    """A line, wherever its `lang` and `dir` are set."""
    await expect(line).to_have_text(PHRASES[language])
    assert await line.evaluate("(each) => each.closest('[lang]').lang") == language
    assert await line.evaluate("(each) => getComputedStyle(each).direction") == SIDES[language]


async def keep(page: Page, name: str, folder: Path) -> None:
    """A picture for README, if they are to be renewed."""
    assert await sticks_out(page) == []
    png = await page.screenshot()
    assert len(png) < MAX_BYTES
    into = SCREENSHOTS if os.environ.get("SCRIBEWIRE_SCREENSHOTS") == "1" else folder
    await asyncio.to_thread((into / f"{name}-languages.png").write_bytes, png)


async def test_sessions_at_once_each_have_their_language(polyglot: Server) -> None:
    audio = pcm16("beckett.wav")[0]

    async def heard(query: str) -> list[tuple[str, str]]:
        async with dial(polyglot, query) as socket:
            for at in range(0, len(audio), 32_000):
                await socket.send(audio[at : at + 32_000])
            await socket.send('{"type": "stop"}')
            said = [each for each in await hear_all(socket) if each["type"] == "final"]
            return [(each["language"], each["text"].strip()) for each in said]

    found = await asyncio.gather(*map(heard, ("language=ar", "language=japanese", "")))

    assert set(found[0]) == {("ar", PHRASES["ar"])}
    assert set(found[1]) == {("ja", PHRASES["ja"])}
    assert set(found[2]) == set(PHRASES.items())


async def test_the_page_tells_languages_apart(
    polyglot: Server, open_page: OpenPage, tmp_path: Path
) -> None:
    page = await open_page(polyglot.http, speaks="beckett.wav", viewport=DESK)
    await start(page)
    shown: set[str | None] = set()
    while await finals(page).count() < len(PHRASES):
        shown.add(await page.locator("#language").text_content())
        await asyncio.sleep(0.05)
    await stop(page)

    assert shown >= set(NAMES.values())
    for i, line in enumerate((await finals(page).all())[: len(PHRASES)]):
        await check(line, list(PHRASES)[(i + 1) % len(PHRASES)])
    await keep(page, "page", tmp_path)


async def test_the_audience_sees_which_language_is_spoken(
    speaker: SpeakerDouble, open_page: OpenPage
) -> None:
    page = await open_page(f"{speaker.http}/watch?room=hall")
    await expect(page.locator("#language")).to_have_text("Japanese")
    for i, language in enumerate(PHRASES):
        await check(page.locator("#finals .line").nth(i), language)
        speaker.partial("", f" {PHRASES[language]}", language)
        await expect(page.locator("#language")).to_have_text(NAMES[language])
        await check(page.locator("#open .line"), language)


async def test_an_editor_writes_from_the_words_own_side(
    speaker: SpeakerDouble, open_page: OpenPage, tmp_path: Path
) -> None:
    page = await open_page(f"{speaker.http}/watch?room=hall&edit=yes&size=2", viewport=DESK)
    buttons = page.locator("#finals .line > .correct")
    for i, language in enumerate(PHRASES):
        line = page.locator("#finals .line").nth(i)
        await check(line.locator(".stable"), language)
        await expect(buttons.nth(i)).to_have_attribute("lang", "en")
    await buttons.nth(1).click()
    field = page.get_by_label("Corrected text")
    await expect(field).to_have_value(PHRASES["ar"])
    assert await field.evaluate("(each) => getComputedStyle(each).direction") == "rtl"
    assert await field.evaluate("(each) => each.closest('[lang]').lang") == "ar"
    await keep(page, "watch", tmp_path)


async def test_the_overlay_has_rows_of_each(
    speaker: SpeakerDouble, open_page: OpenPage, tmp_path: Path
) -> None:
    size = {"width": 960, "height": 220}
    page = await open_page(f"{speaker.http}/overlay?room=hall", viewport=size)
    await expect(page.locator("#box")).to_contain_text(PHRASES["ja"])
    for language in ("ar", "ja"):
        row = page.locator(".row", has_text=PHRASES[language])
        await check(row, language)
    await page.evaluate("document.documentElement.style.background = 'seagreen'")
    await keep(page, "overlay", tmp_path)
