"""`scribewire push`: follows a room, and posts what is said there from now on."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from gateway.client.errors import SessionError
from gateway.client.push.address import CaptionAddress, Line
from gateway.client.push.lines import Lines, SegmentKey
from gateway.client.push.poster import Patience, Poster
from gateway.client.watch import FIRST_RETRY_S, follow
from gateway.client.wire import is_loopback, stream_url

MAX_WAITING = 500
"""Lines, of which the oldest give way: an hour of speech has about 1,500."""

Tell = Callable[[str], None]


async def push(
    base_url: str, room: str, to: CaptionAddress, api_key: str | None = None,
    first: int | None = None, tell: Tell = print, patience: Patience | None = None,
) -> None:  # fmt: skip
    """Posts a room's finals, until somebody interrupts.

    Args:
        base_url: ``ws://HOST:PORT`` of the gateway.
        api_key: a key, or a viewer's token.
        first: number of the first line; None: after the last one that the service knows, or 1.
        tell: is told what goes wrong, and at the end how to go on.

    Raises:
        SessionError: the gateway refuses, and trying again would not help.
        GivenUp, AddressRefused: the caption address cannot be used.
    """
    async with httpx.AsyncClient(trust_env=not is_loopback(to.url)) as http:
        poster = Poster(http, to, 1 if first is None else first, tell, patience or Patience())
        if first is None:
            await poster.find_number()
        lines = Lines(await _said(base_url, room, api_key, tell))
        tell(f"What is said in {room} from now on is posted, from number {poster.number}.")
        waiting: asyncio.Queue[Line] = asyncio.Queue(MAX_WAITING)
        try:
            await _first_of(
                _take(base_url, room, api_key, lines, waiting, tell), _post(waiting, poster)
            )
        finally:
            tell(f"To go on later: --first {poster.number}")


async def _first_of(*running: Coroutine[Any, Any, None]) -> None:
    """Until one is over or fails."""
    tasks = [asyncio.create_task(each) for each in running]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _take(
    base_url: str, room: str, api_key: str | None, lines: Lines, waiting: asyncio.Queue[Line],
    tell: Tell,
) -> None:  # fmt: skip
    def lost(error: SessionError) -> None:
        tell(f"{error.message} Trying again …")

    async with aclosing(follow(base_url, room, api_key, lost)) as messages:
        async for message in messages:
            for line in lines.of(message, datetime.now(UTC), time.monotonic()):
                if waiting.full():
                    tell(f"Too many lines wait; left out: {' '.join(waiting.get_nowait().rows)}")
                waiting.put_nowait(line)


async def _post(waiting: asyncio.Queue[Line], poster: Poster) -> None:
    while True:
        await poster.post(await waiting.get())


async def _said(base_url: str, room: str, api_key: str | None, tell: Tell) -> list[SegmentKey]:
    """The segments that were over before anybody asked for them to be posted.

    Raises:
        SessionError: the gateway refuses.
    """
    path = f"{base_url.rstrip('/')}/v1/rooms/{quote(room, safe='')}/captions.json"
    url = "http" + stream_url(path, "json", {}).removeprefix("ws")
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    async with httpx.AsyncClient(trust_env=not is_loopback(url), headers=headers) as http:
        while True:
            try:
                answer = await http.get(url)
            except httpx.TransportError:
                tell("The gateway does not answer. Trying again …")
                await asyncio.sleep(FIRST_RETRY_S)
                continue
            if answer.status_code == httpx.codes.NOT_FOUND:
                return []  # nobody spoke there yet
            if not answer.is_success:
                raise _refusal(answer)
            return [(each["session"], each["segment"]) for each in answer.json()["segments"]]


def _refusal(answer: httpx.Response) -> SessionError:
    try:
        body = answer.json()
        code, message = str(body["code"]), str(body["message"])
    except (ValueError, KeyError, TypeError):
        code, message = "refused", f"The gateway answered HTTP {answer.status_code}."
    return SessionError(code, message, http_status=answer.status_code)
