"""Who may connect, as a real browser sees it: pages from elsewhere, and this page with a key."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Page, expect

from gateway.access.keys import new_key
from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, Server, serving
from tests.page.browser import CuttableProxy, finals, start, stop
from tests.page.conftest import OpenPage

KEY = "swk_the-key-that-these-tests-have-01234567890"
DENIED = "uth"
"""In what Chromium writes to the console: "401 (Unauthorized)", "HTTP Authentication failed"."""

ATTACK = """async ([url, protocols]) => new Promise((resolve) => {
    const socket = new WebSocket(url, protocols);
    socket.onopen = () => socket.send('{"type": "ping", "id": "mine"}');
    socket.onmessage = ({ data }) => resolve(JSON.parse(data).type);
    socket.onclose = ({ code, wasClean }) => resolve(`closed ${code} ${wasClean}`);
})"""
"""What a page can find out of a gateway: its first message, or that there was none."""


@asynccontextmanager
async def elsewhere(host: str = "127.0.0.1") -> AsyncIterator[str]:
    """The origin of another server's pages."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\n"
                     b"connection: close\r\n\r\nevil")  # fmt: skip
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
        yield f"http://{host}:{other.sockets[0].getsockname()[1]}"


def quick(**settings: object) -> Settings:
    return Settings(port=0, runner="thread", model=QUICK_MODEL, **settings)  # type: ignore[arg-type]


async def attacked(page: Page, server: Server, *protocols: str) -> str:
    """What a page on another origin gets of a gateway."""
    outcome: str = await page.evaluate(ATTACK, [f"{server.ws}/v1/stream", list(protocols)])
    return outcome


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_page_from_elsewhere_gets_no_session(open_page: OpenPage, host: str) -> None:
    """Another port is another origin, and so is another name of the same machine."""
    with serving(quick()) as server:
        async with elsewhere(host) as origin:
            page = await open_page(origin, forgive="WebSocket connection")
            assert await attacked(page, server) == "closed 1006 false"
        assert server.metric("scribewire_sessions_opened_total") == 0
        assert server.metric("scribewire_access_denied_total", reason="origin") == 1


async def test_a_page_from_elsewhere_gets_no_session_with_a_good_token_either(
    open_page: OpenPage,
) -> None:
    with serving(quick(api_keys=KEY)) as server:
        async with elsewhere() as origin:
            page = await open_page(origin, forgive="WebSocket connection")
            assert await attacked(page, server, "token", KEY) == "closed 1006 false"


async def test_a_page_from_elsewhere_cannot_have_a_token_made(open_page: OpenPage) -> None:
    """A request without preflight, as a form could send it; the answer is not for it to read."""
    with serving(quick()) as server:
        async with elsewhere() as origin:
            page = await open_page(origin, forgive="net::ERR_")
            post = "url => fetch(url, {method: 'POST', mode: 'no-cors', body: '{}'}).then(() => 1)"
            with pytest.raises(Exception, match="Failed to fetch"):
                await page.evaluate(post, f"{server.http}/v1/tokens")
        assert server.metric("scribewire_access_denied_total", reason="origin") == 1


async def test_a_page_that_the_operator_allows_gets_one(open_page: OpenPage) -> None:
    """The other way round: without the refusal, the attack above would succeed."""
    async with elsewhere() as origin:
        with serving(quick(allowed_origins=f"https://other.example, {origin}")) as server:
            page = await open_page(origin)
            assert await attacked(page, server) == "ready"


@pytest.mark.parametrize(
    "protocols",
    [("token", KEY), ("scribewire.json.v1", "scribewire.auth", KEY),
     ("realtime", f"openai-insecure-api-key.{KEY}", "scribewire.json.v1")],
)  # fmt: skip
async def test_a_page_can_show_its_credential_as_a_subprotocol(
    open_page: OpenPage, protocols: tuple[str, ...]
) -> None:
    with serving(quick(api_keys=KEY)) as server:
        page = await open_page(server.http)
        assert await attacked(page, server, *protocols) == "ready"


async def test_with_a_key_the_page_gets_a_token_and_goes_on(open_page: OpenPage) -> None:
    with serving(quick(api_keys=KEY)) as server:
        page = await open_page(server.http, speaks="beckett.wav", forgive=DENIED)
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("websocket", lambda socket: requests.append(socket.url))
        await page.get_by_role("button", name="Live captions").click()
        field = page.get_by_label("Key for this server")
        await expect(field).to_be_focused()
        await expect(page.get_by_role("status")).to_contain_text("This server asks for a key.")

        await field.fill("swk_not-the-right-one-at-all-but-long")
        await page.keyboard.press("Enter")
        await expect(page.locator("#key-message")).to_have_text("This key is not valid.")
        await field.fill(KEY)
        await page.get_by_role("button", name="Go on").click()
        await expect(page.locator("#state")).to_have_text("Listening")
        await expect(finals(page)).not_to_have_count(0)
        await stop(page)

        kept = await page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}])")
        await page.reload()
        await start(page)  # the token holds in this tab
        await stop(page)
        await page.evaluate("sessionStorage.clear()")
        await page.reload()
        await page.get_by_role("button", name="Live captions").click()
        await expect(field).to_be_focused()
        assert await field.input_value() == ""

    assert "swt1." in kept
    assert KEY not in kept
    assert not [url for url in requests if KEY in url or "swt1." in url]


async def test_a_key_that_is_withdrawn_is_asked_for_again(open_page: OpenPage, axe: str) -> None:
    """The connection is lost meanwhile, so that the browser itself says nothing of the reason."""
    with serving(quick(api_keys=KEY)) as first, serving(quick(api_keys=new_key())) as second:
        async with CuttableProxy(int(first.http.rsplit(":", 1)[1])) as proxy:
            page = await open_page(proxy.http, speaks="beckett.wav", forgive="")
            await page.get_by_role("button", name="Live captions").click()
            await page.get_by_label("Key for this server").fill(KEY)
            await page.keyboard.press("Enter")
            await expect(page.locator("#state")).to_have_text("Listening")
            proxy.port = int(second.http.rsplit(":", 1)[1])
            proxy.cut()

            await expect(page.get_by_label("Key for this server")).to_be_focused()
            await expect(page.locator("#state")).to_have_text("Stopped")
            await page.evaluate(axe)
            found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            assert found["violations"] == []
