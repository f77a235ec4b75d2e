"""The rooms that there are: who may open one, and how many there may be."""

import re
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from gateway.errors import InvalidOption, NotFound, TooManySessions
from gateway.rooms.room import Room
from gateway.settings import Settings

MAX_NAME_CHARS = 64
RETRY_AFTER_MS = 5000

_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_NAME_CHARS}}}", re.ASCII)

R = TypeVar("R", bound=Room)


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


class NoPlace(TooManySessions):
    """There are as many rooms or viewers as there may be.

    Args:
        setting: that says how many.
    """

    def __init__(self, setting: str) -> None:
        super().__init__(
            "There are too many rooms or viewers: try again later.", retry_after_ms=RETRY_AFTER_MS
        )
        self.setting = setting


class UnknownRoom(NotFound):
    """Nobody has opened it, or its place was needed."""

    def __init__(self) -> None:
        super().__init__("Nothing was said in this room, or it was too long ago.")


class RoomTable(Generic[R]):
    """Rooms by the key whose they are and by name: keys cannot meet in a room.

    A room without session and viewers is kept, for late readers, until its place is needed.

    Args:
        make: a new room.
        forget: told of a room that gave its place to another.
    """

    def __init__(
        self, settings: Settings, make: Callable[[], R],
        forget: Callable[[R], None] = lambda room: None,
    ) -> None:  # fmt: skip
        self._settings, self._make, self._forget = settings, make, forget
        self._rooms: dict[tuple[str | None, str], R] = {}

    def __len__(self) -> int:
        return len(self._rooms)

    def __iter__(self) -> Iterator[R]:
        return iter(self._rooms.values())

    @property
    def audience(self) -> int:
        """Viewers of all rooms."""
        return sum(room.audience for room in self._rooms.values())

    def open(self, owner: str | None, name: str) -> R:
        """The room for who wants to speak in it.

        Raises:
            InvalidOption: there is no such name.
            NoPlace: there are too many rooms.
        """
        key = (owner, check_room_name(name))
        # Put last: the room that is first in line to go was used least recently.
        room = self._rooms.pop(key, None) or self._opened()
        self._rooms[key] = room
        return room

    def enter(self, owner: str | None, name: str) -> R:
        """The room for one more viewer; it may be published later.

        Raises:
            InvalidOption: there is no such name.
            NoPlace: there are too many viewers or rooms.
        """
        room = self.open(owner, name)
        self._limit("max_viewers", self.audience)
        self._limit("max_viewers_per_room", room.audience)
        return room

    def find(self, owner: str | None, name: str) -> R:
        """The room for who wants to read or correct what was said there.

        Raises:
            InvalidOption: there is no such name.
            UnknownRoom: there is no such room.
        """
        room = self._rooms.get((owner, check_room_name(name)))
        if room is None:
            raise UnknownRoom()
        return room

    def _opened(self) -> R:
        if len(self._rooms) >= self._settings.max_rooms:
            idle = (key for key, room in self._rooms.items() if room.is_idle)
            if (oldest := next(idle, None)) is not None:
                self._forget(self._rooms.pop(oldest))
        self._limit("max_rooms", len(self._rooms))
        return self._make()

    def _limit(self, setting: str, reached: int) -> None:
        if reached >= getattr(self._settings, setting):
            raise NoPlace(setting)
