"""Rooms that several gateway processes have together, as one of these sees them.

What changes a room goes to the hub and comes back in its order; see `gateway.rooms.hub`.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.errors import GatewayError, ShuttingDown
from gateway.metrics import Metrics
from gateway.rooms.correction import Correction
from gateway.rooms.news import (
    Ask,
    Correct,
    Corrected,
    Count,
    Ended,
    Enter,
    Final,
    Gone,
    Opened,
    Publish,
    Read,
    Refused,
    Release,
    Said,
    Say,
    Taken,
    Whole,
    pack,
    parse_news,
)
from gateway.rooms.room import Publication, Room, Viewer, Written, for_viewers
from gateway.rooms.table import NoPlace, UnknownRoom, check_room_name
from gateway.rooms.viewing import seated
from gateway.settings import Settings
from gateway.wire.messages import Outgoing


class RoomsShared:
    """See `gateway.rooms.rooms.Rooms`.

    Args:
        send: gets what the hub is to be told.
    """

    def __init__(self, settings: Settings, metrics: Metrics, send: Callable[[str], None]) -> None:
        self._settings, self._metrics, self._send = settings, metrics, send
        self._rooms: dict[int, Room] = {}
        """Copies of those that somebody here asked for, by the hub's numbers."""
        self._numbers = itertools.count()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._replaced: dict[int, Callable[[], None]] = {}
        self._changed = asyncio.Event()
        self._lost = False

    async def publish(
        self, owner: str | None, name: str, session: str, replaced: Callable[[], None]
    ) -> Publication:
        """See `Rooms`."""
        n = next(self._numbers)
        self._replaced[n] = replaced
        try:
            publication: Publication = await self._ask(
                Publish(n=n, owner=owner, name=check_room_name(name), session=session)
            )
        except BaseException:
            self._replaced.pop(n, None)
            self._tell(Release(n=n))
            raise
        return publication

    @asynccontextmanager
    async def viewing(self, owner: str | None, name: str, after: int = 0) -> AsyncIterator[Viewer]:
        """See `Rooms`."""
        n = next(self._numbers)
        try:
            room: Room = await self._ask(Enter(n=n, owner=owner, name=check_room_name(name)))
            with seated(room, after, self._settings, self._metrics) as viewer:
                yield viewer
        finally:
            self._changed.set()
            self._tell(Release(n=n))

    async def written(self, owner: str | None, name: str) -> Written:
        """See `Rooms`."""
        n = next(self._numbers)
        room: Room = await self._ask(Read(n=n, owner=owner, name=check_room_name(name)))
        return room.written

    async def correct(self, owner: str | None, name: str, wanted: Correction) -> None:
        """See `Rooms`."""
        n = next(self._numbers)
        await self._ask(Correct(n=n, owner=owner, name=check_room_name(name), wanted=wanted))

    async def silence(self) -> None:
        """See `Rooms`: other processes' sessions end when they do, or nobody here listens."""
        while any(room.speaker and room.viewers for room in self._rooms.values()):
            if self._lost:
                return
            self._changed.clear()
            await self._changed.wait()

    async def _ask(self, ask: Publish | Enter | Read | Correct) -> Any:
        if self._lost:
            raise ShuttingDown()
        answer = self._answers[ask.n] = asyncio.get_running_loop().create_future()
        self._tell(ask)
        try:
            return await answer
        finally:
            del self._answers[ask.n]

    def _tell(self, ask: Ask) -> None:
        if not self._lost:
            self._send(pack(ask))

    def lose(self) -> None:
        """The hub is gone, and this process is to end."""
        self._lost = True
        self._changed.set()
        for n in list(self._answers):
            self._fail(n, ShuttingDown())

    # From the hub

    def take(self, text: object) -> None:
        """Does to this process's copies what was done to the rooms.

        Raises:
            ValueError: it is no message of the hub's.
        """
        match parse_news(text):
            case Said(room=room, fields=fields):
                self._rooms[room].say(fields)
            case Taken(room=room, session=session, n=n):
                self._seat(self._rooms[room], session, n)
            case Ended(room=room):
                self._end(self._rooms[room])
            case Corrected(room=room, wanted=wanted, n=n):
                self._correct(self._rooms[room], wanted, n)
            case Whole(room=room, state=state):
                self._rooms[room] = Room(self._settings.room_history)
                self._rooms[room].restore(state)
            case Final(room=room, kept=kept):
                self._rooms[room].put_back(kept)
            case Opened(room=room, n=n):
                self._answer(n, self._rooms[room])
            case Refused(n=n, limit=limit):
                self._refuse(n, limit)
            case Gone(room=room):
                del self._rooms[room]
            case Count(rooms=rooms):
                self._metrics.rooms.set(rooms)

    def _seat(self, room: Room, session: str, n: int | None) -> None:
        if n is None:
            room.take(session, lambda: None)
            return
        replaced = self._replaced.pop(n, lambda: None)  # nobody waits for it any more
        publication = _Publication(room, session, replaced, n, self._tell)
        room.seat(publication)
        self._answer(n, publication)

    def _end(self, room: Room) -> None:
        if room.speaker is not None:
            room.end_session(room.speaker.session)
        self._changed.set()

    def _correct(self, room: Room, wanted: Correction, n: int | None) -> None:
        try:
            room.correct(wanted)
        except GatewayError as error:
            self._fail(n, error)
        else:
            self._answer(n, None)

    def _refuse(self, n: int, limit: str | None) -> None:
        if limit is None:
            self._fail(n, UnknownRoom())
        else:
            self._metrics.limited.labels(limit).inc()
            self._fail(n, NoPlace(limit))

    def _answer(self, n: int | None, result: object) -> None:
        if (answer := self._waiting(n)) is not None:
            answer.set_result(result)

    def _fail(self, n: int | None, error: GatewayError) -> None:
        if (answer := self._waiting(n)) is not None:
            answer.set_exception(error)

    def _waiting(self, n: int | None) -> asyncio.Future[Any] | None:
        """Whoever still waits for the answer."""
        answer = self._answers.get(n) if n is not None else None
        return answer if answer is not None and not answer.done() else None


class _Publication(Publication):
    """Of a session of this process. What it says comes back from the hub before it is shown.

    Args:
        n: by which the hub knows it.
    """

    def __init__(
        self, room: Room, session: str, replaced: Callable[[], None], n: int,
        tell: Callable[[Ask], None],
    ) -> None:  # fmt: skip
        super().__init__(room, session, replaced)
        self._n, self._tell = n, tell

    def say(self, message: Outgoing) -> None:
        """See `Publication`."""
        if self._room.speaker is self and (fields := for_viewers(message, self.session)):
            self._tell(Say(n=self._n, fields=fields))

    def end(self) -> None:
        """See `Publication`."""
        self._tell(Release(n=self._n))
