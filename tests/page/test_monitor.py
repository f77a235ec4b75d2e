"""The operator's page in a real browser, while a gateway works."""

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect
from websockets.exceptions import InvalidStatus

from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, Server, serving
from tests.e2e.dialogue import converse
from tests.e2e.node import run_node
from tests.page.conftest import OpenPage
from tests.page.test_looks import LOOKS, MAX_BYTES, picture, sticks_out, violations
from tests.speech import speech_at

pytestmark = pytest.mark.timeout(100)

KEY = "swk_the-key-that-these-tests-have-01234567890"
ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "web_demo/screenshots"
FOR_README = os.environ.get("SCRIBEWIRE_SCREENSHOTS") == "1"
PLACES = 6
CHUNK = "From a chunk to its partial"
AUDIO = speech_at("two_cities.wav", 16_000).tobytes()


@contextlib.asynccontextmanager
async def load(server: Server, sessions: int) -> AsyncIterator[None]:
    """So many people speak, one after another has begun, and now and then one more is refused."""

    async def speak(number: int) -> None:
        await asyncio.sleep(number * (2 if FOR_README else 0.1))
        while True:
            with contextlib.suppress(InvalidStatus):  # somebody who knocked was quicker
                await converse(server.ws, AUDIO, speed=1, query=f"chunk_ms={500 + 300 * number}")

    async def knock() -> None:
        while True:
            await asyncio.sleep(0.7)
            with contextlib.suppress(InvalidStatus):
                await converse(server.ws, b"")

    tasks = [asyncio.create_task(speak(number)) for number in range(sessions)]
    tasks.append(asyncio.create_task(knock()))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


async def figure(page: Page, panel: str, line: str, column: int = 0) -> float:
    """What a table says now (column 1: at most); NaN: nothing."""
    section = page.locator("section", has=page.get_by_role("heading", name=panel, exact=True))
    cell = section.get_by_role("row", name=re.compile(f"^{line}")).locator("td").nth(column)
    text = (await cell.text_content() or "").split()[0]
    return float("nan") if text == "–" else float(text)


async def reaches(page: Page, panel: str, line: str, least: float, most: float) -> None:
    async with asyncio.timeout(20):
        while not least <= await figure(page, panel, line) <= most:
            await asyncio.sleep(0.1)


async def test_it_shows_what_the_gateway_does_under_load(
    open_page: OpenPage, axe: str, tmp_path: Path
) -> None:
    model = {} if FOR_README else {"model": QUICK_MODEL}
    settings = Settings(port=0, runner="thread", max_sessions=PLACES, **model)  # type: ignore[arg-type]
    with serving(settings) as server:
        page = await open_page(f"{server.http}/monitor", reduced_motion="reduce")
        await expect(page.locator("#state")).to_have_text("Live")
        async with load(server, PLACES):
            await reaches(page, "Sessions", "open", PLACES, PLACES)
            await reaches(page, CHUNK, "partial, p50", 0.001, 5)
            await reaches(page, CHUNK, "partial, p95", 0.001, 10)
            await reaches(page, CHUNK, "queue, p95", 0.0, 10)
            await reaches(page, "Batches", "steps in each", 1, PLACES)
            await reaches(page, "A batch takes", "p95", 0.0, 5)
            await reaches(page, "Load", "model busy", 0.0, 100)
            await reaches(page, "Cadence in force", "between partials", 0.0, 10)
            await reaches(page, "Turned away, a second", "sessions refused", 0.05, 5)
            await expect(page.locator(".detail", has_text="too_many_sessions")).to_be_visible()
            await reaches(page, "The event loop is late", "p99", 0.1, 5000)
            drawn = page.get_by_role("img", name=re.compile("^Sessions: open 6, at most 6; ending"))
            await expect(drawn).to_be_visible()
            line = await drawn.locator("path").first.get_attribute("d")
            assert (line or "").count("L") >= 2
            if FOR_README:
                await asyncio.sleep(60)  # something to see
            await look(page, axe, SCREENSHOTS if FOR_README else tmp_path)
        await reaches(page, "Sessions", "open", 0, 0)
        assert await figure(page, "Sessions", "open", column=1) == PLACES


async def look(page: Page, axe: str, into: Path) -> None:
    """Pictures and the checker, light and dark, on a desk and a phone."""
    await page.evaluate(axe)
    devtools = await page.context.new_cdp_session(page)
    for name, scheme, size, scale in LOOKS:
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        metrics = {**size, "deviceScaleFactor": scale, "mobile": name == "phone"}
        await devtools.send("Emulation.setDeviceMetricsOverride", metrics)
        assert await violations(page) == []
        assert await sticks_out(page) == []
        png = await picture(devtools)
        assert len(png) < MAX_BYTES
        await asyncio.to_thread((into / f"monitor-{name}.png").write_bytes, png)


async def test_it_asks_for_the_key_where_metrics_do(open_page: OpenPage, axe: str) -> None:
    """From another machine than the gateway's own. The key stays in the page's memory."""
    settings = Settings(port=0, runner="thread", model=QUICK_MODEL, api_keys=KEY)  # type: ignore[arg-type]
    with serving(settings) as server:
        page = await open_page(
            f"{server.http}/monitor", forgive="Failed to load resource",
            extra_http_headers={"X-Forwarded-For": "203.0.113.7"},
        )  # fmt: skip
        state, message = page.locator("#state"), page.locator("#key-message")
        await expect(state).to_have_text("Not permitted")
        await page.evaluate(axe)
        assert await violations(page) == []
        for typed in (KEY[:-1], KEY):
            await page.get_by_label("API key").fill(typed)
            await page.get_by_role("button", name="Watch").click()
            if typed != KEY:
                await expect(message).to_have_text("This key is not valid.")
        await expect(state).to_have_text("Live")
        await expect(page.locator("#key-form")).to_be_hidden()
        kept = await page.evaluate(
            "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie,"
            " location.href, document.querySelector('#key').value])"
        )
    assert KEY not in kept
    await expect(state).to_have_text("No answer")


TEXT = r"""# HELP scribewire_x A histogram.
# TYPE scribewire_x histogram
scribewire_x_bucket{le="0.1"} 4.0
scribewire_x_bucket{le="1.0"} 8.0
scribewire_x_bucket{le="+Inf"} 10.0
scribewire_x_count 10.0
scribewire_x_sum 7.5
scribewire_y_total{code="a \"b\" \\ c",other="1"} 3.0
scribewire_y_total{code="d",other="1"} 1e+06
"""


SCRIPT = """
import { Look, Between } from "./prometheus.mjs";
const look = new Look(process.argv[2], 20);
const between = new Between(new Look("", 10), look);
const none = new Between(look, new Look(process.argv[2], 21));
const x = "scribewire_x";
const at = (share) => between.quantile(share, x);
console.log(JSON.stringify({
    sum: look.sum("scribewire_y_total"),
    labelled: look.sum("scribewire_y_total", { code: 'a "b" \\\\ c', other: "1" }),
    rate: between.rate("scribewire_y_total", { code: "d" }),
    mean: between.mean(x),
    quantiles: [at(0.2), at(0.5), at(0.99)],
    nothing: [none.mean(x), none.quantile(0.5, x), look.sum("z")],
}));
"""


async def test_what_it_reads_is_the_prometheus_format(tmp_path: Path) -> None:
    shutil.copy(ROOT / "web_demo/prometheus.js", tmp_path / "prometheus.mjs")
    [found] = await run_node(tmp_path, SCRIPT, TEXT)

    assert found == {
        "sum": 1_000_003,
        "labelled": 3,
        "rate": 100_000,
        "mean": 0.75,
        "quantiles": [pytest.approx(0.05), pytest.approx(0.325), 1],
        "nothing": [None, None, 0],
    }
