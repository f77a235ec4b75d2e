"""`scribewire watch`: a room's words in a terminal. Finals are lines, the open segment is below."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.live import Live
from rich.text import Text
from websockets.exceptions import ConnectionClosed

from gateway.client.dialing import dial
from gateway.client.errors import SessionError, from_close, from_event
from gateway.client.wire import stream_url

FIRST_RETRY_S = 0.5
MAX_RETRY_S = 15.0

Message = dict[str, Any]


async def follow(
    base_url: str, room: str, api_key: str | None = None,
    lost: Callable[[SessionError], None] = lambda error: None,
) -> AsyncGenerator[Message, None]:  # fmt: skip
    """All messages of a room, for ever: a lost connection is regained, and what was missed follows.

    Args:
        base_url: ``ws://HOST:PORT``.
        api_key: a key, or a viewer's token.
        lost: told why, each time.

    Raises:
        SessionError: the server refuses, and trying again would not help.
    """
    seen, wait_s = 0, FIRST_RETRY_S
    address = f"{base_url.rstrip('/')}/v1/rooms/{quote(room, safe='')}"
    while True:
        said: Message = {}
        try:
            async with await dial(stream_url(address, "json", {"after": seen}), api_key) as socket:
                while True:
                    said = json.loads(await socket.recv())
                    if said["type"] != "error":
                        seen, wait_s = said["seq"], FIRST_RETRY_S
                        yield said
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else None
            error = from_event(said, code) if said.get("type") == "error" else from_close(closed)
        except SessionError as refused:
            error = refused
        if not error.retryable:
            raise error
        lost(error)
        await asyncio.sleep(max(wait_s, (error.retry_after_ms or 0) / 1000))
        wait_s = min(wait_s * 2, MAX_RETRY_S)


async def watch(base_url: str, room: str, api_key: str | None, console: Console) -> None:
    """Shows a room until somebody interrupts; without a terminal only finals are printed.

    Raises:
        SessionError: the server refuses.
    """

    def tell(error: SessionError) -> None:
        live.update(Text(f"{error.message} Trying again …", "yellow"))

    with Live(Text("Waiting for words …", "dim"), console=console, transient=True) as live:
        async with aclosing(follow(base_url, room, api_key, tell)) as messages:
            async for message in messages:
                match message["type"]:
                    case "partial":
                        stable = Text(message["stable"].lstrip(), "bold")
                        live.update(stable + Text(message["unstable"], "dim italic"))
                    case "final" | "suppressed" | "left":
                        live.update(Text(""))
                        if text := message.get("text", "").strip():
                            console.print(Text(text), soft_wrap=True)
                    case "corrected" if text := message["text"].strip():
                        # What is printed stays; so it is said again.
                        console.print(Text("corrected: ", "dim") + Text(text), soft_wrap=True)
