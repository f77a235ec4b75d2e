"""All rooms of this process: who may open one, and how many there may be."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.errors import InvalidOption, NotFound, TooManySessions, Unsupported
from gateway.metrics import Metrics
from gateway.rooms.correction import Correction
from gateway.rooms.frames import RoomFrame
from gateway.rooms.room import Publication, Room, Viewer, Written
from gateway.settings import Settings

MAX_NAME_CHARS = 64
RETRY_AFTER_MS = 5000

_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_NAME_CHARS}}}", re.ASCII)


def check_room_name(name: str) -> str:
    """The name itself.

    Raises:
        InvalidOption: no room can be called so.
    """
    if not _NAME.fullmatch(name):
        raise InvalidOption(
            f"A room's name must be 1 to {MAX_NAME_CHARS} letters, digits, hyphens or underscores "
            "of ASCII."
        )
    return name


def check_rooms(settings: Settings) -> None:
    """Whether publisher and viewers can meet.

    Raises:
        Unsupported: they may be in processes that know nothing of each other's rooms.
    """
    if settings.workers > 1:
        raise Unsupported(
            "Rooms need a gateway of one process, and this one has several (--workers): publish "
            "and view on one that has not."
        )


class Rooms:
    """Rooms by the key whose they are and by name: keys cannot meet in a room.

    A room without session and viewers is kept, for late readers, until its place is needed.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._rooms: dict[tuple[str | None, str], Room] = {}
        self._viewers = 0

    def publish(
        self, owner: str | None, name: str, session: str, replaced: Callable[[], None]
    ) -> Publication:
        """Makes a session the one that speaks in a room, instead of any that did.

        The newer one wins, because the older may be the same speaker's, lost and not noticed yet.

        Args:
            replaced: called when it is no longer the one.

        Raises:
            Unsupported: see `check_rooms`.
            InvalidOption: there is no such name.
            TooManySessions: there are too many rooms.
        """
        check_rooms(self._settings)
        return self._room(owner, name).take(session, replaced)

    @contextmanager
    def viewing(self, owner: str | None, name: str, after: int = 0) -> Iterator[Viewer]:
        """Adds a viewer to a room, which may be published later.

        Args:
            after: number of the last message that it has seen.

        Raises:
            Unsupported: see `check_rooms`.
            InvalidOption: there is no such name.
            TooManySessions: there are too many viewers or rooms.
        """
        check_rooms(self._settings)
        room = self._room(owner, name)
        self._limit("max_viewers", self._viewers)
        self._limit("max_viewers_per_room", len(room.viewers))
        viewer = Viewer(room.history(after), self._settings.outbox_events)
        room.viewers.add(viewer)
        self._count(+1)
        try:
            yield viewer
        finally:
            room.viewers.discard(viewer)
            self._count(-1)

    def finals(self, owner: str | None, name: str) -> list[RoomFrame]:
        """What is kept of a room's finals.

        Raises:
            Unsupported: see `check_rooms`.
            InvalidOption: there is no such name.
            NotFound: there is no such room.
        """
        return self.written(owner, name).finals

    def written(self, owner: str | None, name: str) -> Written:
        """The same, with where on the room's line of time it is.

        Raises:
            Unsupported, InvalidOption, NotFound: as `finals`.
        """
        return self._known(owner, name).written

    def correct(self, owner: str | None, name: str, wanted: Correction) -> None:
        """Gives one of a room's finals another text.

        Raises:
            NotFound: there is no such room.
            InvalidMessage: there is no such final.
            StaleCorrection: the editor has not seen its newest text.
        """
        self._known(owner, name).correct(wanted)

    def _known(self, owner: str | None, name: str) -> Room:
        check_rooms(self._settings)
        room = self._rooms.get((owner, check_room_name(name)))
        if room is None:
            raise NotFound("Nothing was said in this room, or it was too long ago.")
        return room

    def _count(self, change: int) -> None:
        self._viewers += change
        self._metrics.viewers.set(self._viewers)

    def _room(self, owner: str | None, name: str) -> Room:
        key = (owner, check_room_name(name))
        # Put last: the room that is first in line to go was used least recently.
        room = self._rooms.pop(key, None) or self._opened()
        self._rooms[key] = room
        self._metrics.rooms.set(len(self._rooms))
        return room

    def _opened(self) -> Room:
        if len(self._rooms) >= self._settings.max_rooms:
            idle = (key for key, room in self._rooms.items() if room.is_idle)
            if (oldest := next(idle, None)) is not None:
                del self._rooms[oldest]
        self._limit("max_rooms", len(self._rooms))
        return Room(self._settings.room_history)

    def _limit(self, setting: str, reached: int) -> None:
        if reached >= getattr(self._settings, setting):
            self._metrics.limited.labels(setting).inc()
            raise TooManySessions(
                "There are too many rooms or viewers: try again later.",
                retry_after_ms=RETRY_AFTER_MS,
            )
