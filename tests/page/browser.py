"""Chromium as the tests start it, and what they do with the page again and again."""

import asyncio
import base64
import os
import re
import shutil
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET

import numpy as np
from playwright.async_api import Browser, Locator, Page, Playwright, expect

from engine.messages import Pcm
from tests.conftest import Server
from tests.e2e.dialogue import converse

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"


def missing() -> str | None:
    """What to do when there is no browser."""
    if Path(CHROMIUM).is_file():
        return None
    return f"Chromium is missing ({CHROMIUM}), which these tests drive: run `make system`."


async def launch(playwright: Playwright, speaks: Path | None, flags: tuple[str, ...]) -> Browser:
    """A browser whose microphone plays ``speaks`` once and is then silent."""
    hears = [f"--use-file-for-fake-audio-capture={speaks}%noloop"] if speaks else []
    allowed = [] if "--deny-permission-prompts" in flags else ["--use-fake-ui-for-media-stream"]
    return await playwright.chromium.launch(
        executable_path=CHROMIUM,
        headless=True,
        args=[
            "--no-sandbox", "--headless=new", "--use-fake-device-for-media-stream", "--disable-gpu",
            "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync",
            *allowed, *hears, *flags,
        ],
    )  # fmt: skip


def keep_sent(page: Page) -> list[bytes]:
    """Gathers the messages of audio that the page sends from now on."""
    sent: list[bytes] = []

    def keep(message: str | bytes) -> None:
        if isinstance(message, bytes):
            sent.append(message)

    page.on("websocket", lambda socket: socket.on("framesent", keep))
    return sent


async def keep_captured(page: Page) -> Callable[[], Awaitable[Pcm]]:
    """Gathers the samples that the page takes from now on; asked, gives all, shape ``(n,)``."""
    await page.evaluate(
        """() => {
            window.captured = [];
            window.AudioWorkletNode = class extends AudioWorkletNode {
                constructor(...options) {
                    super(...options);
                    this.port.addEventListener("message", ({ data }) => {
                        if (data.pcm) window.captured.push(...new Uint8Array(data.pcm));
                    });
                }
            };
        }"""
    )

    async def captured() -> Pcm:
        return np.frombuffer(bytes(await page.evaluate("window.captured")), np.int16)

    return captured


async def heard_in(server: Server, audio: bytes, query: str = "") -> list[str]:
    """The words of audio that a page took from its microphone, sent over a connection of ours.

    What the page shows is held against them first, which tells whose fault it is where Chromium's
    microphone delivered some of a recording late or lost some.
    """
    dialogue = await converse(server.ws, audio, query=query)
    assert dialogue.close_code == 1000, dialogue.events[-3:]
    return words(dialogue.text)


async def start(page: Page) -> None:
    """Presses the button and waits until the page listens."""
    await page.get_by_role("button", name="Live captions").click()
    await expect(page.locator("#state")).to_have_text("Listening")


async def stop(page: Page) -> None:
    """Presses the button and waits for the last words."""
    await page.get_by_role("button", name="Live captions").click()
    await expect(page.locator("#state")).to_have_text("Done")


async def drop(page: Page, file: Path) -> None:
    """Drops a file on the page."""
    content = await asyncio.to_thread(file.read_bytes)
    data = await page.evaluate_handle(
        """async ([name, base64]) => {
            const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], name));
            return data;
        }""",
        [file.name, base64.b64encode(content).decode()],
    )
    for event in ("dragenter", "dragover", "drop"):
        await page.dispatch_event("#transcript", event, {"dataTransfer": data})


def finals(page: Page) -> Locator:
    """The captions that are final, without their times."""
    return page.locator("#finals .line .text")


def words(text: str | list[str]) -> list[str]:
    """Lower-case words without punctuation."""
    joined = text if isinstance(text, str) else " ".join(text)
    return re.findall(r"[a-z0-9']+", joined.lower())


async def cues(page: Page) -> list[tuple[str, int, int]]:
    """Text, start and end in ms of each caption, as the page saves them."""
    await page.get_by_role("button", name="Save").click()
    async with page.expect_download() as download:
        await page.get_by_role("button", name="SRT").click()
    srt = await asyncio.to_thread((await (await download.value).path()).read_text)
    found = re.findall(r"(?m)^\d+\n(\S+) --> (\S+)\n(.*)$", srt)
    return [(text, _ms(start), _ms(end)) for start, end, text in found]


def _ms(timestamp: str) -> int:
    hours, minutes, seconds, ms = map(int, re.split("[:,]", timestamp))
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms


class CuttableProxy:
    """A TCP proxy in front of a gateway, whose connections can be cut as a network does."""

    def __init__(self, port: int) -> None:
        self.port = port
        """Of the gateway behind it."""
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.refusing = False
        """Whether new connections are cut at once."""

    async def __aenter__(self) -> "CuttableProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def http(self) -> str:
        """``http://127.0.0.1:PORT``"""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Aborts every connection, without a close frame."""
        for writer in self._writers:
            _reset(writer)
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self.refusing:
            _reset(writer)
            return
        to_server, from_page = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers |= {writer, from_page}
        await asyncio.gather(_pipe(reader, from_page), _pipe(to_server, writer))


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection by a reset, also if nothing was sent over it that is not read.

    Without `SO_LINGER` the kernel would end it in good order then, which Chromium tells of in other
    words: whether the page's request or the end came first would decide.
    """
    socket = writer.get_extra_info("socket")
    if socket.fileno() >= 0:  # not already over
        socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
