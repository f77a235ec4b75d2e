"""The pages of an audience and of a picture, in a real browser."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from gateway.rooms.correction import Correction
from tests.page.browser import CuttableProxy
from tests.page.conftest import OpenPage
from tests.page.speaking_rooms import SpeakerDouble, speaking
from tests.page.test_looks import MAX_BYTES, PHONE, picture, sticks_out, violations

pytestmark = pytest.mark.timeout(100)

DESK = {"width": 960, "height": 600}
LOOKS = [("light", "light", DESK, 1), ("dark", "dark", DESK, 1), ("phone", "light", PHONE, 1.5)]
SCREENSHOTS = Path(__file__).parents[2] / "web_demo/screenshots"
SPEECH = (
    "The committee met again on Tuesday, and after a long debate it agreed that the new library "
    "should be built beside the river, where the old market had been, as soon as the spring floods "
    "were over and the bridge could carry the lorries."
)
ARABIC = (
    "اجتمعت اللجنة مرة أخرى يوم الثلاثاء، وبعد نقاش طويل وافقت على بناء "
    "المكتبة الجديدة بجانب النهر."
)
JAPANESE = (
    "委員会は火曜日に再び会合を開き、長い議論の末、"
    "新しい図書館を川のそばに建てることに同意しました。"
)
NO_ROOM = "The address names no room: it ends in ?room=NAME."


@pytest.fixture
async def speaker() -> AsyncIterator[SpeakerDouble]:
    async with speaking("hall") as speaker:
        yield speaker


def growing(text: str, pieces: int, unsure: int) -> list[tuple[str, str]]:
    """Stable and unstable text as a session sends them, growing."""
    ends = [len(text) * i // pieces for i in range(1, pieces + 1)]
    if " " in text:
        ends = [end if end == len(text) else text.rfind(" ", 0, end + 1) for end in ends]
    ends = [0] * unsure + ends
    return [
        (text[:stable], text[stable:end]) for stable, end in zip(ends, ends[unsure:], strict=False)
    ]


async def test_the_audience_reads_follows_scrolls_back_and_reconnects(
    speaker: SpeakerDouble, open_page: OpenPage
) -> None:
    async with CuttableProxy(speaker.port) as network:
        page = await open_page(
            f"{network.http}/watch?room=hall&size=4", viewport=PHONE, forgive="WebSocket"
        )
        state, lines = page.locator("#state"), page.locator("#finals .line")
        await expect(state).to_have_text("Waiting for words")
        speaker.partial("", " <b>Good</b>")
        await expect(page.locator("#open .unstable")).to_have_text("<b>Good</b>")
        assert await page.locator("#open b").count() == 0
        for i in range(12):
            speaker.final(f" Sentence number {i} of the talk.")
        await expect(lines).to_have_count(12)
        await expect(state).to_have_text("Live")
        await expect(page.locator("#open .line")).to_have_count(0)
        assert await at_end(page)

        await page.locator("#captions").evaluate("(each) => each.scrollTo(0, 0)")
        newest = page.get_by_role("button", name="Newest words")
        await expect(newest).to_be_visible()
        speaker.final(" Said while the reader looks back.")
        await expect(lines).to_have_count(13)
        assert await page.locator("#captions").evaluate("(each) => each.scrollTop") == 0
        await newest.press("Enter")
        await expect(newest).to_be_hidden()
        assert await at_end(page)

        network.refusing = True
        network.cut()
        await expect(state).to_have_text("Reconnecting")
        speaker.final(" Said while nobody was connected.")
        network.refusing = False
        await expect(lines).to_have_count(14)
        assert await lines.last.text_content() == "Said while nobody was connected."
        speaker.publication.end()
        await expect(state).to_have_text("Waiting for words")


async def test_the_audience_chooses_how_it_looks_and_whether_the_screen_stays_on(
    speaker: SpeakerDouble, open_page: OpenPage
) -> None:
    page = await open_page(f"{speaker.http}/watch")
    await expect(page.locator("#state")).to_have_text(NO_ROOM)
    await page.add_init_script(REMEMBER_LOCKS)
    await page.goto(f"{speaker.http}/watch?room=hall")
    await page.wait_for_function("window.locks.some((lock) => !lock.released)")
    await page.get_by_role("button", name="Text").press("Enter")
    await page.get_by_label("Keep the screen on").uncheck()
    await page.wait_for_function("window.locks.every((lock) => lock.released)")
    await page.get_by_label("Size").fill("5")
    await page.get_by_label("Colours").select_option("yellow on black")

    await page.reload()
    speaker.final(" Large and yellow.")
    line = page.locator("#finals .line")
    await expect(line).to_have_css("font-size", "80px")
    await expect(line).to_have_css("color", "rgb(255, 255, 0)")
    assert await page.evaluate("window.locks.length") == 0


async def test_an_editor_corrects_finals_in_place_and_sees_who_was_first(
    speaker: SpeakerDouble, open_page: OpenPage, axe: str
) -> None:
    async with CuttableProxy(speaker.port) as network:
        page = await open_page(f"{network.http}/overlay?room=hall", forgive="WebSocket")
        overlay = await page.context.new_page()
        await overlay.goto(f"{speaker.http}/overlay?room=hall")
        editors = speaker.token("editor", "hall")
        await page.goto(f"{network.http}/watch?room=hall#token={editors}")
        speaker.final(" The bored met again.")
        speaker.final(" It agreed.")
        first = page.locator("#finals .line .stable").first
        field, note = page.get_by_label("Corrected text"), page.get_by_role("alert")
        button = page.get_by_role("button", name="Correct: The")

        await button.press("Enter")
        await expect(field).to_be_focused()
        await field.fill("Never said.")
        await page.evaluate(axe)
        assert await violations(page) == []
        await field.press("Escape")
        await expect(first).to_have_text("The bored met again.")
        await expect(button).to_be_focused()

        await button.press("Enter")
        await field.fill("The <b>board</b> met again.")
        await field.press("Enter")
        await expect(first).to_have_text("The <b>board</b> met again.")
        await expect(button).to_be_focused()
        await expect(overlay.locator(".segment").first).to_have_text("The <b>board</b> met again.")

        await button.press("Enter")
        await field.fill("The board met.")
        theirs = Correction(type="correct", segment=0, text="The Board met again.", revision=1)
        await speaker.rooms.correct(None, "hall", theirs)
        await expect(note).to_contain_text("changed this to “The Board met again.”")
        network.refusing = True
        network.cut()
        await expect(page.locator("#state")).to_have_text("Reconnecting")
        await field.press("Enter")
        await expect(note).to_contain_text("no connection")
        network.refusing = False
        await expect(page.locator("#state")).not_to_have_text("Reconnecting")
        await field.press("Enter")
        await expect(first).to_have_text("The board met.")
        written = await speaker.rooms.written(None, "hall")
        said = [json.loads(each.text) for each in written.finals]
        assert [(each["text"], each.get("revision")) for each in said] == [
            (" The board met.", 3),
            (" It agreed.", None),
        ]


async def test_on_the_overlay_words_that_stay_never_move(
    speaker: SpeakerDouble, open_page: OpenPage
) -> None:
    """They keep their place in their row, and rows go up by whole rows only."""
    page = await open_page(f"{speaker.http}/overlay", viewport={"width": 800, "height": 300})
    await expect(page.locator("#trouble")).to_have_text(NO_ROOM)
    await page.goto(f"{speaker.http}/overlay?room=hall")
    segment = page.locator(".segment:last-child")
    for text, language in ((SPEECH, "en"), (ARABIC * 2, "ar"), (JAPANESE * 2, "ja")):
        seen: list[dict[str, Any]] = []
        for stable, unstable in growing(text, 24, 2):
            speaker.partial(stable, unstable, language)
            await expect(segment).to_have_text(stable + unstable)
            seen.append(await page.evaluate(PLACES, len(stable)))
        speaker.final(text, language)
        await expect(segment.locator(".unstable:not(:empty)")).to_have_count(0)
        seen.append(await page.evaluate(PLACES, len(text)))

        for before, after in pairwise(seen):
            for (x, row), (x_then, row_then) in zip(
                before["places"], after["places"], strict=False
            ):
                assert row == row_then
                assert x == pytest.approx(x_then, abs=1)
        last = seen[-1]
        assert len(last["places"]) == len(text)
        assert last["rows"] > last["visible"] == 2
        assert all(last["box"][0] <= x <= last["box"][1] for x, _ in last["places"])
        direction = await segment.evaluate("(each) => getComputedStyle(each).direction")
        assert direction == ("rtl" if language == "ar" else "ltr")


async def test_the_overlay_is_transparent_takes_variables_and_empties_itself(
    speaker: SpeakerDouble, open_page: OpenPage
) -> None:
    page = await open_page(f"{speaker.http}/overlay?room=hall&hide_after_s=0.5")
    color = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert color == "rgba(0, 0, 0, 0)"
    await page.evaluate("document.documentElement.style.setProperty('--overlay-size', '60px')")
    speaker.final(" Gone soon.")
    await expect(page.locator(".row")).to_have_css("font-size", "60px")
    await expect(page.locator("#box")).to_be_hidden()


async def test_pictures_and_accessibility(
    speaker: SpeakerDouble, open_page: OpenPage, axe: str, tmp_path: Path
) -> None:
    into = SCREENSHOTS if os.environ.get("SCRIBEWIRE_SCREENSHOTS") == "1" else tmp_path
    page = await open_page(f"{speaker.http}/watch?room=hall&size=2.5", reduced_motion="reduce")
    for text, language in ((SPEECH, "en"), (ARABIC, "ar"), (JAPANESE, "ja")):
        speaker.final(text, language)
    speaker.partial(" And the next speaker", " begins", "en")
    await page.evaluate(axe)
    devtools = await page.context.new_cdp_session(page)
    for panel in (False, True):
        if panel:
            await page.get_by_role("button", name="Text").click()
        for name, scheme, size, scale in LOOKS:
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            metrics = {**size, "deviceScaleFactor": scale, "mobile": name == "phone"}
            await devtools.send("Emulation.setDeviceMetricsOverride", metrics)
            assert await violations(page) == []
            assert await sticks_out(page) == []
            await expect(page.locator("#newest")).to_be_hidden()
            assert await at_end(page)
            taken = await picture(devtools)
            where = tmp_path if panel else into
            await asyncio.to_thread(store, where / f"watch-{name}.png", taken)
    for contrast in ("white", "yellow", "black"):
        await page.get_by_label("Colours").select_option(contrast)
        assert await violations(page) == []

    overlay = await open_page(f"{speaker.http}/overlay?room=hall", viewport=DESK | {"height": 300})
    stable, unstable = SPEECH[:90], SPEECH[90:106]
    speaker.partial(stable, unstable)
    await expect(overlay.locator("#box")).to_contain_text(stable + unstable)
    await overlay.evaluate(axe)
    # What it lies over is somebody else's: here, a field.
    await overlay.evaluate("document.documentElement.style.background = 'seagreen'")
    assert await violations(overlay) == []
    shown = await picture(await overlay.context.new_cdp_session(overlay))
    await asyncio.to_thread(store, into / "overlay.png", shown)


def store(file: Path, png: bytes) -> None:
    assert len(png) < MAX_BYTES
    file.write_bytes(png)


async def at_end(page: Page) -> bool:
    found: bool = await page.locator("#captions").evaluate(
        "(each) => each.scrollHeight - each.scrollTop - each.clientHeight < 2"
    )
    return found


REMEMBER_LOCKS = """
window.locks = [];
const request = WakeLock.prototype.request;
WakeLock.prototype.request = async function (type) {
    const lock = await request.call(this, type);
    window.locks.push(lock);
    return lock;
};"""
PLACES = """(length) => {
    const box = document.querySelector("#segments").getBoundingClientRect();
    const rows = [...document.querySelectorAll(".segment:last-child .row")];
    const places = [];
    rows.forEach((row, number) => {
        for (const span of row.children) {
            const node = span.firstChild;
            for (let at = 0; node && at < node.length && places.length < length; at += 1) {
                const range = document.createRange();
                range.setStart(node, at);
                range.setEnd(node, at + 1);
                const { left, right } = range.getBoundingClientRect();
                places.push([getComputedStyle(row).direction === "rtl" ? right : left, number]);
            }
        }
    });
    const visible = rows.filter((row) => {
        const { top, bottom } = row.getBoundingClientRect();
        return (top + bottom) / 2 > box.top && (top + bottom) / 2 < box.bottom;
    }).length;
    return { places, rows: rows.length, visible, box: [box.left, box.right] };
}"""
"""Side and row of each of the first characters of the open segment."""
