"""What is recognised stays text, and what the page is told to expect gets through."""

import json

import pytest
from playwright.async_api import WebSocket, expect

from gateway import captions
from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, Server, serving
from tests.page.browser import finals, start, stop
from tests.page.conftest import OpenPage
from tests.page.doubles import MARKUP

NASTY = [
    (" a --> b & <c>", 0, 1500),
    (" two\n\nlines\r\nand\u2028more ", 61_000, 3_600_001),
    ("   ", 5, 6),
    (" ---> &amp; </v>", 7_000, 7_000),
    (" early", -20, 400),
]


async def test_recognised_markup_is_inert(open_page: OpenPage) -> None:
    settings = Settings(port=0, runner="thread", model="tests.page.doubles:MarkupModel")
    with serving(settings) as server:
        page = await open_page(server.http, speaks="clone-test.wav")
        alerts: list[str] = []
        requests: list[str] = []
        page.on("dialog", lambda dialog: alerts.append(dialog.message))
        page.on("request", lambda request: requests.append(request.url))
        await start(page)
        await expect(page.locator("#partial .text")).to_contain_text("onerror")
        await expect(finals(page)).not_to_have_count(0)
        await stop(page)

        assert await finals(page).first.text_content() == MARKUP.strip()
        assert await page.locator("#transcript").locator("img, script, b").count() == 0
        assert not alerts
        assert not [url for url in requests if url.endswith("/x")]


async def test_the_policy_forbids_what_the_page_does_not_need(
    server: Server, open_page: OpenPage
) -> None:
    page = await open_page(server.http, forgive="")  # the browser complains a lot
    attacks = {
        "a script of text": "script.textContent = 'document.title = 1'",
        "a script in pieces": "script.append('document.title = 1'), document.body.append(script)",
        "HTML of text": "document.body.innerHTML = '<img src=x onerror=alert(1)>'",
        "sending words elsewhere": "new WebSocket('ws://127.0.0.2:9/')",
    }
    before = await page.title(), await page.locator("body *").count()
    for name, attack in attacks.items():
        outcome = await page.evaluate(
            f"""() => new Promise((resolve) => {{
                const seen = () => resolve("forbidden");
                addEventListener("securitypolicyviolation", seen, {{ once: true }});
                setTimeout(() => resolve("nobody minds"), 2000);
                const script = document.createElement("script");
                try {{ {attack} }} catch {{ /* the event tells */ }}
            }})"""
        )
        assert outcome == "forbidden", name
    await page.evaluate("document.querySelectorAll('script:not([src])').forEach((s) => s.remove())")
    assert (await page.title(), await page.locator("body *").count()) == before


async def test_a_long_context_gets_through_and_changes_reach_the_session(
    open_page: OpenPage,
) -> None:
    context = ("Zürich, 東京, Ljubljana, " * 100)[:2000].strip()
    with serving(Settings(port=0, runner="thread", model=QUICK_MODEL)) as server:
        page = await open_page(server.http)
        sent: list[dict[str, object]] = []
        ready: list[dict[str, object]] = []

        def watch(socket: WebSocket) -> None:
            socket.on("framesent", lambda frame: isinstance(frame, str) and note(sent, frame))
            socket.on("framereceived", lambda frame: isinstance(frame, str) and note(ready, frame))

        page.on("websocket", watch)
        await page.get_by_role("button", name="Settings").click()
        await page.get_by_label("Names and words to expect").fill(context)
        await page.get_by_label("every 2 seconds").check()
        await page.get_by_label("Language").fill("en")
        await page.keyboard.press("Escape")
        await expect(page.locator("#settings-panel")).to_be_hidden()
        await page.get_by_role("button", name="Live captions").click()
        await expect(page.locator("#state")).to_have_text("Listening")
        await page.get_by_role("button", name="Settings").click()
        await page.get_by_label("Pause that ends a caption").fill("1200")
        await expect(page.locator("#pause")).to_have_text("1.2 s")
        await page.keyboard.press("Escape")
        await page.locator("#start").click()
        await expect(page.locator("#state")).to_have_text("Done")
        await page.reload()
        await page.get_by_role("button", name="Settings").click()
        await expect(page.get_by_label("every 2 seconds")).to_be_checked()

    configured = [message for message in sent if message["type"] == "configure"]
    assert [len(str(message.get("context", ""))) for message in configured] == [len(context), 0]
    options = [message["options"] for message in ready if message["type"] == "ready"]
    assert isinstance(options[-1], dict)
    assert options[-1]["context"] == context
    assert (options[-1]["chunk_ms"], options[-1]["endpoint_ms"]) == (2000, 1200)
    assert options[-1]["language"] == "en"


@pytest.mark.parametrize(
    ("name", "write"), [("toSrt", captions.to_srt), ("toVtt", captions.to_vtt)]
)
async def test_subtitles_are_those_of_the_server(
    server: Server, open_page: OpenPage, name: str, write: object
) -> None:
    page = await open_page(server.http)
    cues = [{"text": text, "start_ms": start, "end_ms": end} for text, start, end in NASTY]
    written = await page.evaluate(
        "async ([name, cues]) => (await import('/static/exports.js'))[name](cues)", [name, cues]
    )

    assert callable(write)
    assert written == write([captions.Caption(*each) for each in NASTY])


def note(into: list[dict[str, object]], frame: str) -> None:
    into.append(json.loads(frame))
