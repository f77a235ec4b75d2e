"""How the page looks and reads: pictures of it, accessibility, a phone, a slow network."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import CDPSession, Page, expect

from tests.conftest import Server
from tests.page.browser import finals, start, stop, words
from tests.page.conftest import OpenPage

pytestmark = pytest.mark.timeout(100)

SCREENSHOTS = Path(__file__).parents[2] / "web_demo/screenshots"
MAX_BYTES = 150_000

DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 760}
LOOKS = [("light", "light", DESK, 1), ("dark", "dark", DESK, 1), ("phone", "light", PHONE, 1.5)]


async def test_pictures_and_accessibility(
    server: Server, open_page: OpenPage, axe: str, tmp_path: Path
) -> None:
    """The checker runs on each look of each state: the welcome, settings, running, saving."""
    page = await open_page(
        f"{server.http}/?chunk_ms=2000", speaks="two_cities.wav", reduced_motion="reduce"
    )
    devtools = await page.context.new_cdp_session(page)
    await page.evaluate(axe)  # not a script of the page: its policy would not let it in
    into = SCREENSHOTS if os.environ.get("SCRIBEWIRE_SCREENSHOTS") == "1" else tmp_path

    async def looks() -> AsyncIterator[str]:
        for name, scheme, size, scale in LOOKS:
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            metrics = {**size, "deviceScaleFactor": scale, "mobile": name == "phone"}
            await devtools.send("Emulation.setDeviceMetricsOverride", metrics)
            yield name

    async def pictures() -> dict[str, bytes]:
        return {name: await picture(devtools) async for name in looks()}

    async def check() -> None:
        async for _ in looks():
            assert await violations(page) == []
            assert await sticks_out(page) == []

    taken = {"welcome": await pictures()}
    await check()
    await page.get_by_role("button", name="Settings").click()
    taken["settings"] = await pictures()
    await check()
    await page.keyboard.press("Escape")

    await start(page)
    await page.locator("#start").blur()
    await expect(finals(page).nth(1)).to_be_visible(timeout=60_000)
    both = page.locator("#partial:has(.stable:not(:empty)):has(.unstable:not(:empty))")
    while True:  # until the text holds still for three pictures
        before = await both.text_content(timeout=30_000)
        assert await color(page, ".stable") != await color(page, ".unstable")
        taken["page"] = await pictures()
        if await page.locator("#partial").text_content() == before:
            break
    await check()

    await stop(page)
    await page.get_by_role("button", name="Save").click()
    taken["saving"] = await pictures()
    await check()
    await asyncio.to_thread(store, taken, into, tmp_path)


async def test_a_slow_network_is_readable(server: Server, open_page: OpenPage) -> None:
    """400 kbit/s with 400 ms of delay: a third of what samples at the microphone's rate need."""
    page = await open_page(server.http, speaks="beckett.wav", viewport=PHONE)
    devtools = await page.context.new_cdp_session(page)
    await devtools.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": 400,
            "downloadThroughput": 50_000,
            "uploadThroughput": 50_000,
        },
    )
    await page.reload()
    await start(page)
    shown: list[str] = []
    while await finals(page).count() < 6:
        shown.append((await page.locator("#partial .text").text_content()) or "")
        assert await sticks_out(page) == []
        await asyncio.sleep(0.2)
    await stop(page)

    assert any(shown)
    assert len(words(await finals(page).all_text_contents())) == 12
    delay = await page.locator("#lag").text_content()
    assert float((delay or "").split()[0]) < 3


async def violations(page: Page) -> list[str]:
    """What axe-core objects to, with all of its rules."""
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {node['target']} {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


async def sticks_out(page: Page) -> list[str]:
    """Visible elements beyond the sides of the screen."""
    found: list[str] = await page.evaluate(
        """() => [...document.querySelectorAll("body *")].filter((each) => {
            const { left, right, width } = each.getBoundingClientRect();
            const shown = width > 1 && each.checkVisibility() && !each.closest(".halo, .meter");
            return shown && (left < -1 || right > innerWidth + 1);
        }).map((each) => each.outerHTML.slice(0, 80))"""
    )
    return found


async def color(page: Page, selector: str) -> str:
    found: str = await page.locator(selector).evaluate("(each) => getComputedStyle(each).color")
    return found


async def picture(devtools: CDPSession) -> bytes:
    """What is on the screen, as it is: Playwright's own way would set the size back."""
    png: str = (await devtools.send("Page.captureScreenshot"))["data"]
    return base64.b64decode(png)


def store(taken: dict[str, dict[str, bytes]], into: Path, elsewhere: Path) -> None:
    """Writes the pictures that README shows, and the others where they are not in the way."""
    for state, pictures in taken.items():
        for name, png in pictures.items():
            assert len(png) < MAX_BYTES
            folder = into if state == "page" else elsewhere
            (folder / f"{state}-{name}.png").write_bytes(png)
