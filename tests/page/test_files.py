"""The page with a file, dropped or chosen: all of it is transcribed, faster than it was spoken."""

import asyncio
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.async_api import expect

from tests.conftest import Server
from tests.page.browser import cues, drop, finals, start, words
from tests.page.conftest import OpenPage
from tests.speech import speech, speech_at

pytestmark = pytest.mark.timeout(100)

PROGRESS = """() => new Promise((seen) => {
  const progress = document.querySelector("progress");
  new MutationObserver((_, observer) => {
    if (!progress.checkVisibility() || progress.value === 0) return;
    observer.disconnect();
    seen(document.querySelector("#state").textContent);
  }).observe(progress, { attributes: true });
})"""
"""The state that is shown once there is progress to be seen."""


async def test_a_dropped_file_is_transcribed(server: Server, open_page: OpenPage) -> None:
    page = await open_page(server.http)
    seen = asyncio.create_task(page.evaluate(PROGRESS))  # it may be there for moments
    await drop(page, speech("two_cities.wav"))

    progress = page.get_by_role("progressbar")
    await asyncio.wait({seen}, timeout=60)
    assert seen.done(), await page.locator("body").inner_text()
    assert seen.result() == "Transcribing"
    await expect(page.locator("#state")).to_have_text("Done")

    said = words(await finals(page).all_text_contents())
    assert said[:6] == ["it", "was", "the", "best", "of", "times"]
    assert said[-4:] == ["degree", "of", "comparison", "only"]
    assert 112 <= len(said) <= 120
    await expect(page.get_by_role("status")).to_contain_text("Finished: 0:44 of audio")
    assert float((await page.locator("#lag").text_content() or "").split()[0]) > 1
    await expect(progress).to_be_hidden()


async def test_a_chosen_file_is_saved_as_subtitles(
    server: Server, open_page: OpenPage, tmp_path: Path
) -> None:
    # In the address, as the form has no choice for it.
    page = await open_page(f"{server.http}/?chunk_ms=750")
    async with page.expect_file_chooser() as chooser:
        await page.get_by_role("button", name="Audio file").click()
    await (await chooser.value).set_files(speech("clone-test.wav"))
    await expect(page.locator("#state")).to_have_text("Done")

    saved = {}
    for format in ("Text", "SRT", "VTT"):
        await page.get_by_role("button", name="Save").click()
        async with page.expect_download() as download:
            await page.locator("#save-menu").get_by_role("button", name=format).click()
        file = await download.value
        path = tmp_path / file.suggested_filename
        await file.save_as(path)
        saved[path.suffix] = path.read_text()

    text = saved[".txt"].strip()
    assert words(text) == words(await finals(page).all_text_contents())
    assert saved[".srt"].startswith("1\n00:00:0")
    assert saved[".vtt"].startswith("WEBVTT\n\n00:00:0")
    assert words(text)[0] in words(saved[".vtt"])


async def test_two_recordings_are_saved_one_after_the_other(
    server: Server, open_page: OpenPage
) -> None:
    page = await open_page(server.http)
    for count in (1, 2):
        await drop(page, speech("clone-test.wav"))
        await expect(finals(page)).to_have_count(count)
        await expect(page.locator("#state")).to_have_text("Done")

    (_, _, first_end), (_, second_start, _) = await cues(page)
    assert second_start >= first_end

    await page.get_by_role("button", name="Clear").click()
    await expect(finals(page)).to_have_count(0)
    await page.get_by_role("button", name="Undo").click()
    await expect(finals(page)).to_have_count(2)


async def test_a_file_without_sound_is_refused_in_words(
    server: Server, open_page: OpenPage, tmp_path: Path
) -> None:
    page = await open_page(server.http)
    letter = tmp_path / "letter.wav"
    letter.write_text("Dear sir or madam")
    await drop(page, letter)

    await expect(page.get_by_role("status")).to_contain_text("finds no sound in the file")
    await expect(page.locator("#state")).to_have_text("Stopped")


async def test_a_file_does_not_interrupt_what_is_running(
    server: Server, open_page: OpenPage
) -> None:
    page = await open_page(server.http)
    await start(page)
    await drop(page, speech("clone-test.wav"))

    await expect(page.get_by_role("status")).to_contain_text("Stop what is running first")
    await expect(page.locator("#state")).to_have_text("Listening")


@pytest.mark.parametrize("when", ["at once", "later"])
async def test_a_file_can_be_stopped(
    server: Server, open_page: OpenPage, tmp_path: Path, when: str
) -> None:
    four_minutes = tmp_path / "long.wav"  # a short one could be done before it is stopped
    soundfile.write(four_minutes, np.tile(speech_at("two_cities.wav", 16_000), 6), 16_000)
    page = await open_page(server.http)
    await drop(page, four_minutes)
    if when == "later":
        await expect(finals(page).first).to_be_visible()
    await page.locator("#start").click()

    # At once the browser may still be decoding, and then there is no session to finish.
    await expect(page.locator("#state")).to_have_text(re.compile("Ready|Done"))
    await expect(page.locator("#start")).to_have_attribute("aria-pressed", "false")
