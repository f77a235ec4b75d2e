"""The page with a microphone: what is spoken into it is read on it."""

import re

from playwright.async_api import expect

from tests.conftest import Server
from tests.page.browser import finals, heard_in, keep_captured, start, stop, words
from tests.page.conftest import OpenPage
from tests.page.microphone import needs_microphone, whole_recording


@needs_microphone
async def test_what_is_spoken_is_read(server: Server, open_page: OpenPage) -> None:
    page = await open_page(
        server.http,
        speaks="beckett.wav",
        permissions=["microphone", "clipboard-read", "clipboard-write"],
    )
    await expect(page.locator("#welcome")).to_be_visible()
    captured = await keep_captured(page)
    await start(page)
    await expect(page.locator("#partial .text")).not_to_have_text("")
    await expect(page.locator("#lag")).to_have_text(re.compile(r"^\d\.\d s$"))
    await expect(page.locator("#language")).to_have_text("English")
    level = page.get_by_role("meter", name="Level")
    await expect(level).not_to_have_attribute("aria-valuenow", "0")
    async with whole_recording("beckett.wav", captured):
        await expect(finals(page)).to_have_count(6)
    await stop(page)

    said = words(await finals(page).all_text_contents())
    assert said == await heard_in(server, (await captured()).tobytes())
    async with whole_recording("beckett.wav", captured):
        assert said[:6] == ["ever", "tried", "ever", "failed", "no", "matter"]
        assert said[-1] == "better"
        assert len(said) == 12
    times = await page.locator("#finals time").all_text_contents()
    assert times == sorted(times)
    assert times[0] == "0:00"
    assert await page.get_by_role("log").get_attribute("aria-live") == "polite"

    await page.get_by_role("button", name="Copy").click()
    await expect(page.locator("#copy")).to_have_text("Copied")
    assert words(await page.evaluate("navigator.clipboard.readText()")) == said


async def test_a_microphone_that_is_not_allowed(server: Server, open_page: OpenPage) -> None:
    page = await open_page(server.http, flags=("--deny-permission-prompts",))
    await page.get_by_role("button", name="Live captions").click()

    await expect(page.get_by_role("status")).to_contain_text("The microphone is not allowed.")
    await expect(page.locator("#state")).to_have_text("Stopped")


async def test_it_is_worked_by_keyboard(server: Server, open_page: OpenPage) -> None:
    page = await open_page(server.http, speaks="clone-test.wav")
    reached = []
    for _ in range(6):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate("document.activeElement.id"))
    assert reached[:4] == ["settings", "transcript", "open-file", "start"]

    await page.locator("#start").focus()
    await page.keyboard.press("Space")
    await expect(finals(page).first).to_be_visible()
    await page.keyboard.press("Space")
    await expect(page.locator("#state")).to_have_text("Done")


async def test_a_tab_is_transcribed(server: Server, open_page: OpenPage) -> None:
    page = await open_page(
        server.http, flags=("--auto-select-tab-capture-source-by-title=Scribewire",)
    )
    await page.get_by_role("button", name="Tab audio").click()
    await expect(page.locator("#state")).to_have_text("Listening")
    await stop(page)
