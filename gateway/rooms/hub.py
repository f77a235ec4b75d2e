"""Rooms of several gateway processes: the supervisor keeps them, each process has copies.

Whatever changes a room is asked of the hub, which puts it in order, does it, and tells all
processes that follow the room. These do the same to copies of theirs, as a `Room` depends on
nothing but what it is told: messages have the same numbers everywhere, and viewers cost only their
own process. A process that dies takes no room with it.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import structlog

from engine.pipe import Pipe
from gateway.errors import GatewayError
from gateway.rooms.news import (
    ROOMS,
    Ask,
    Correct,
    Corrected,
    Count,
    Ended,
    Enter,
    Final,
    Gone,
    News,
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
    parse_ask,
)
from gateway.rooms.room import Publication, Room
from gateway.rooms.table import NoPlace, RoomTable, UnknownRoom
from gateway.settings import Settings

MAX_WAITING = 10_000
"""Messages that may wait for one process."""
FOLLOWED_S = 60.0
"""For which a process is told the news of a room that nobody there asks for."""

log = structlog.get_logger("gateway.rooms")


@dataclass(slots=True)
class _Following:
    """What a room is to one process."""

    asked_at: float
    viewers: int = 0
    speakers: int = 0


class SharedRoom(Room):
    """A room that several processes have copies of; its viewers are theirs."""

    def __init__(self, number: int, history: int) -> None:
        super().__init__(history)
        self.number = number
        self.followers: dict[Member, _Following] = {}

    @property
    def audience(self) -> int:
        """See `Room`."""
        return sum(each.viewers for each in self.followers.values())


class Hub:
    """All rooms.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        numbers, history = itertools.count(), settings.room_history
        self._table = RoomTable(settings, lambda: SharedRoom(next(numbers), history), self._forget)
        self._members: set[Member] = set()
        self._clock = clock

    def join(self, pipe: Pipe, kill: Callable[[], None]) -> "Member":
        """A process has begun.

        Args:
            kill: ends it.
        """
        member = Member(self, pipe, kill)
        self._members.add(member)
        member.put(Count(rooms=len(self._table)))
        return member

    def leave(self, member: "Member") -> None:
        """It has ended: who spoke or viewed there does no more."""
        self._members.discard(member)
        for n in list(member.holds):
            self._release(member, n)
        for room in self._table:
            room.followers.pop(member, None)

    def take(self, member: "Member", ask: Ask) -> None:
        """Does what a process asks for."""
        match ask:
            case Say():
                self._say(member, ask)
            case Release():
                self._release(member, ask.n)
            case _:
                before = len(self._table)
                try:
                    self._open(member, ask)
                except NoPlace as error:
                    member.put(Refused(n=ask.n, limit=error.setting))
                except UnknownRoom:
                    member.put(Refused(n=ask.n, limit=None))
                if len(self._table) != before:
                    for each in self._members:
                        each.put(Count(rooms=len(self._table)))

    def _open(self, member: "Member", ask: Publish | Enter | Read | Correct) -> None:
        where = (ask.owner, ask.name)
        match ask:
            case Publish():
                room = self._table.open(*where)
                self._follow(member, room).speakers += 1
                publication = room.take(ask.session, lambda: None)
                member.holds[ask.n] = (room, publication)
                self._tell(room, Taken(room=room.number, session=ask.session), member, ask.n)
            case Enter():
                room = self._table.enter(*where)
                self._follow(member, room).viewers += 1
                member.holds[ask.n] = (room, None)
                member.put(Opened(room=room.number, n=ask.n))
            case Read():
                room = self._table.find(*where)
                self._follow(member, room)
                member.put(Opened(room=room.number, n=ask.n))
            case Correct():
                room = self._table.find(*where)
                self._follow(member, room)
                news = Corrected(room=room.number, wanted=ask.wanted)
                try:
                    room.correct(ask.wanted)
                except GatewayError:
                    member.put(news.model_copy(update={"n": ask.n}))
                else:
                    self._tell(room, news, member, ask.n)

    def _say(self, member: "Member", ask: Say) -> None:
        room, publication = member.holds.get(ask.n, (None, None))
        if room is not None and room.speaker is not None and room.speaker is publication:
            room.say(ask.fields)
            self._tell(room, Said(room=room.number, fields=ask.fields))

    def _release(self, member: "Member", n: int) -> None:
        room, publication = member.holds.pop(n, (None, None))
        if room is None:
            return  # it was refused
        following = room.followers[member]
        following.asked_at = self._clock()
        if publication is None:
            following.viewers -= 1
            return
        following.speakers -= 1
        if room.speaker is publication:
            publication.end()
            self._tell(room, Ended(room=room.number))

    def _follow(self, member: "Member", room: SharedRoom) -> _Following:
        """From now on the process has a copy of the room."""
        following = room.followers.get(member)
        if following is None:
            following = room.followers[member] = _Following(0)
            member.put_all(_whole(room))
        following.asked_at = self._clock()
        return following

    def _tell(
        self, room: SharedRoom, news: News, asker: "Member | None" = None, n: int | None = None
    ) -> None:
        """Tells all that follow a room; the asker with its number, by which it knows its answer."""
        packed, now = pack(news), self._clock()
        for member, following in list(room.followers.items()):
            is_used = following.viewers or following.speakers
            if not is_used and now - following.asked_at > FOLLOWED_S:
                del room.followers[member]
                member.put(Gone(room=room.number))
            elif member is asker:
                member.put(news.model_copy(update={"n": n}))
            else:
                member.put_all((packed,))

    def _forget(self, room: SharedRoom) -> None:
        for member in room.followers:
            member.put(Gone(room=room.number))


def _whole(room: SharedRoom) -> Iterator[str]:
    """A room as it is now, written as slowly as it is read."""
    state, finals = room.state(), room.kept()

    def written() -> Iterator[str]:
        yield pack(Whole(room=room.number, state=state))
        for kept in finals:
            yield pack(Final(room=room.number, kept=kept))

    return written()


class Member:
    """A gateway process, as the hub sees it; made by `Hub.join`."""

    def __init__(self, hub: Hub, pipe: Pipe, kill: Callable[[], None]) -> None:
        self._hub, self._pipe, self._kill = hub, pipe, kill
        self._is_over = False
        self._waiting: asyncio.Queue[Iterable[str]] = asyncio.Queue(MAX_WAITING)
        self.holds: dict[int, tuple[SharedRoom, Publication | None]] = {}
        """Its sessions and, without a publication, its viewers: by the process's own numbers."""

    def take(self, text: object) -> None:
        """Does what the process asks for; one that talks nonsense is ended."""
        try:
            ask = parse_ask(text)
        except ValueError:
            self._end("worker_talks_nonsense")
        else:
            self._hub.take(self, ask)

    def put(self, news: News) -> None:
        """What the process is told."""
        self.put_all((pack(news),))

    def put_all(self, texts: Iterable[str]) -> None:
        """The same, several and packed already. A process that does not read is ended."""
        try:
            self._waiting.put_nowait(texts)
        except asyncio.QueueFull:
            self._end("worker_does_not_read")

    def _end(self, reason: str) -> None:
        if not self._is_over:
            log.error(reason)
            self._kill()
        self._is_over = True

    async def write(self) -> None:
        """Tells the process, as fast as it reads."""
        with contextlib.suppress(OSError):
            while True:
                for text in await self._waiting.get():
                    self._pipe.send({ROOMS: text})
                    await self._pipe.flushed()
                    await asyncio.sleep(0)  # a whole room is long

    def leave(self) -> None:
        """The process has ended."""
        self._hub.leave(self)
