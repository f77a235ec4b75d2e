"""A real Chromium on the page, and the accessibility checker."""

import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.page.browser import launch, missing
from tests.speech import speech

AXE = "axe-core@4.14.1"

expect.set_options(timeout=20_000)

OpenPage = Callable[..., Awaitable[Page]]
"""``await open_page(url, speaks="beckett.wav", …)``; see the fixture."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browsers are heavy: all tests here run in one worker, one after another."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("page"))


@pytest.fixture
async def open_page() -> AsyncIterator[OpenPage]:
    """Opens addresses in fresh browsers; what a page throws or logs as an error fails the test."""
    if message := missing():
        pytest.fail(message)
    complaints: list[str] = []
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())

        async def open_page(
            url: str,
            *,
            speaks: str | None = None,
            flags: tuple[str, ...] = (),
            forgive: str | None = None,
            **context_options: object,
        ) -> Page:
            """
            Args:
                speaks: what the microphone hears, once; a name of `tests.speech`.
                flags: more of Chromium's flags.
                forgive: complaints that this regular expression finds are expected.
                context_options: of Playwright's ``new_context``.
            """
            browser = await launch(playwright, speech(speaks) if speaks else None, flags)
            stack.push_async_callback(browser.close)
            context = await browser.new_context(
                locale="en-GB", timezone_id="Europe/London", **context_options  # type: ignore[arg-type]
            )  # fmt: skip
            page = await context.new_page()

            def complain(text: str) -> None:
                if forgive is None or not re.search(forgive, text):
                    complaints.append(text)

            page.on("pageerror", lambda error: complain(str(error)))
            page.on("console", lambda said: said.type == "error" and complain(said.text))
            page.set_default_timeout(20_000)
            await page.goto(url)
            return page

        yield open_page
    assert not complaints


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, from npm."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.fail("npm is missing, which the accessibility test needs: run `make system`.")
    folder = tmp_path_factory.mktemp("axe")
    subprocess.run(
        [npm, "install", "--no-save", "--no-audit", "--no-fund", "--prefix", folder, AXE],
        check=True, capture_output=True, timeout=50, cwd=folder,
    )  # fmt: skip
    return (folder / "node_modules/axe-core/axe.min.js").read_text()
