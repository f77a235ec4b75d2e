"""Plays a share of a load's sessions in one event loop, and hands on each when it is over."""

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence

from websockets.uri import parse_uri

from gateway.bench.client import Client, RefusedError, SessionLog, audio_frames
from gateway.bench.pacer import Pacer
from gateway.bench.plan import SAMPLE_BYTES, Kind, Load
from gateway.bench.protocol import Native
from gateway.client.track import Track

CONNECT_AT_ONCE = 32
CONNECT_WITHIN_S = 30.0
AWAY_S = 1.0
"""From a lost connection to the next."""
TROUBLE = (RefusedError, OSError, TimeoutError)
"""What keeps a session from being opened."""


class Player:
    """The sessions of one process.

    Args:
        take: is given each session's log when it is over; nothing else keeps it.
    """

    def __init__(self, load: Load, take: Callable[[SessionLog], object]) -> None:
        self._load, self._take = load, take
        self._pacer = Pacer()
        self._frames = [
            audio_frames(kind.track.frames(load.frame_ms), kind.adapter()) for kind in load.kinds
        ]
        self._waiting: dict[int, Client] = {}
        """Those that have connected and not begun."""

    async def connect(self, share: Sequence[int]) -> None:
        """Opens all sessions.

        Raises:
            RefusedError, OSError, TimeoutError: one cannot be opened.
        """
        gate = asyncio.Semaphore(CONNECT_AT_ONCE)

        async def open_one(index: int) -> None:
            async with gate:
                self._waiting[index] = await self._open(SessionLog(index, self._load.frame_ms))

        await asyncio.gather(*map(open_one, share))

    async def play(self, share: Sequence[int], began: float) -> None:
        """Plays them all to their ends, on a schedule that began at ``began``.

        Raises:
            RefusedError, OSError, TimeoutError: the first session of all could not be opened: the
                server is not there, or wants something else.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for index in share:
                    at = began + self._load.visits[index].at_s
                    await asyncio.sleep(at - time.monotonic())
                    group.create_task(self._visit(index, at))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _visit(self, index: int, at: float) -> None:
        log = SessionLog(index, self._load.frame_ms, came=at)
        client = self._waiting.pop(index, None)
        try:
            client = client or await self._open(log)
        except TROUBLE as error:
            if index == 0:
                raise
            log.failure, log.ended = _reason(error), time.monotonic()
        else:
            log = client.log
            client.begin(at if self._load.together else time.monotonic(), self._pacer)
            await self._stay(client, self._load.length_s(index))
            log.left = self._load.visits[index].ending == "vanish"
        self._take(log)

    async def _stay(self, client: Client, length_s: float) -> None:
        load, log = self._load, client.log
        ends = log.began + length_s + load.linger_s
        if load.visits[log.index].ending == "resume":
            await asyncio.wait([client.over], timeout=max(0.0, ends - time.monotonic()))
            if not log.failure:
                client = await self._come_back(client)
        await asyncio.wait([client.over], timeout=max(0.0, ends - time.monotonic()))
        client.give_up(f"not done {load.linger_s:.0f} s after the end of the audio")
        await asyncio.sleep(0)

    async def _come_back(self, before: Client) -> Client:
        """The session's next connection; that of before, if there is none."""
        log, place, gone = before.log, before.place, time.monotonic()
        assert place is not None
        await asyncio.sleep(AWAY_S)
        load = self._load
        kind = load.kind(log.index)
        url = kind.adapter().address(load.url, place.rejoining())
        try:
            client = await self._connected(url, log, load.visits[log.index].frames, place=place)
        except TROUBLE as error:
            log.failure = f"could not come back: {_reason(error)}"
            return before
        ready = await client.ready
        log.away, log.found = (gone, time.monotonic()), bool(ready["resumed"])
        pcm = kind.track.frames(load.frame_ms)
        frame, part = divmod(ready["next_sample"] * SAMPLE_BYTES, len(pcm[0]))
        if part:
            client.say([kind.adapter().frame(pcm[frame % len(pcm)][part:])])
        client.begin(log.began, self._pacer, frame + bool(part))
        return client

    async def _open(self, log: SessionLog) -> Client:
        load, visit = self._load, self._load.visits[log.index]
        kind = load.kind(log.index)
        adapter, asked = kind.adapter(), time.monotonic()
        log.came = log.came or asked
        halfway = visit.ending == "resume"
        client = await self._connected(
            adapter.address(load.url, load.options), log,
            max(1, visit.frames // 2) if halfway else visit.frames, adapter,
            breaks=visit.ending != "stop", place=_place(load, kind) if halfway else None,
        )  # fmt: skip
        log.connected_s = time.monotonic() - asked
        return client

    async def _connected(
        self, url: str, log: SessionLog, until: int, protocol: Native | None = None, *,
        breaks: bool = False, place: Track | None = None,
    ) -> Client:  # fmt: skip
        """A connection that may speak."""
        uri, frames = parse_uri(url), self._frames[self._load.visits[log.index].kind]
        async with asyncio.timeout(CONNECT_WITHIN_S):
            _, client = await asyncio.get_running_loop().create_connection(
                lambda: Client(
                    url, frames, until, log, self._load.api_key, protocol, breaks=breaks,
                    place=place,
                ),
                uri.host,
                uri.port,
                ssl=ssl.create_default_context() if uri.secure else None,
            )  # fmt: skip
            try:
                await client.ready
            except BaseException:
                client.give_up("the server does not answer")
                raise
            return client


def _place(load: Load, kind: Kind) -> Track:
    language = {"language": kind.language} if kind.language else {}
    return Track({**load.options, **language})


def _reason(error: BaseException) -> str:
    return str(error) or "the server does not answer"
