"""What a gateway does with rooms; and how, when all of them are in this process."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from gateway.metrics import Metrics
from gateway.rooms.correction import Correction
from gateway.rooms.room import Publication, Room, Viewer, Written
from gateway.rooms.table import NoPlace, RoomTable
from gateway.rooms.viewing import seated
from gateway.settings import Settings


class Rooms(Protocol):
    """Rooms by the key whose they are (``owner``) and by name."""

    async def publish(
        self, owner: str | None, name: str, session: str, replaced: Callable[[], None]
    ) -> Publication:
        """Makes a session the one that speaks in a room, instead of any that did.

        The newer one wins, because the older may be the same speaker's, lost and not noticed yet.

        Args:
            replaced: called when it is no longer the one.

        Raises:
            InvalidOption: there is no such name.
            NoPlace: there are too many rooms.
            ShuttingDown: this process is about to end.
        """
        ...

    def viewing(
        self, owner: str | None, name: str, after: int = 0
    ) -> AbstractAsyncContextManager[Viewer]:
        """Adds a viewer to a room, which may be published later.

        Args:
            after: number of the last message that it has seen.

        Raises:
            InvalidOption: there is no such name.
            NoPlace: there are too many viewers or rooms.
            ShuttingDown: as `publish`.
        """
        ...

    async def written(self, owner: str | None, name: str) -> Written:
        """What is kept of what was said in a room for good.

        Raises:
            InvalidOption: there is no such name.
            UnknownRoom: there is no such room.
            ShuttingDown: as `publish`.
        """
        ...

    async def correct(self, owner: str | None, name: str, wanted: Correction) -> None:
        """Gives one of a room's finals another text.

        Raises:
            UnknownRoom: there is no such room.
            InvalidMessage: there is no such final.
            StaleCorrection: the editor has not seen its newest text.
            ShuttingDown: as `publish`.
        """
        ...

    async def silence(self) -> None:
        """This process has no sessions left: until nobody speaks to viewers that it has."""
        ...


class RoomsHere:
    """See `Rooms`. Of one process."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._table = RoomTable(settings, lambda: Room(settings.room_history))

    async def publish(
        self, owner: str | None, name: str, session: str, replaced: Callable[[], None]
    ) -> Publication:
        """See `Rooms`."""
        return self._placed(self._table.open, owner, name).take(session, replaced)

    @asynccontextmanager
    async def viewing(self, owner: str | None, name: str, after: int = 0) -> AsyncIterator[Viewer]:
        """See `Rooms`."""
        room = self._placed(self._table.enter, owner, name)
        with seated(room, after, self._settings, self._metrics) as viewer:
            yield viewer

    async def written(self, owner: str | None, name: str) -> Written:
        """See `Rooms`."""
        return self._table.find(owner, name).written

    async def correct(self, owner: str | None, name: str, wanted: Correction) -> None:
        """See `Rooms`."""
        self._table.find(owner, name).correct(wanted)

    async def silence(self) -> None:
        """See `Rooms`: all that speak here are this process's own."""

    def _placed(
        self, place: Callable[[str | None, str], Room], owner: str | None, name: str
    ) -> Room:
        try:
            return place(owner, name)
        except NoPlace as error:
            self._metrics.limited.labels(error.setting).inc()
            raise
        finally:
            self._metrics.rooms.set(len(self._table))
