"""The deadline of a request's header: uvicorn itself would wait for the rest of it for ever."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class PunctualProtocol(H11Protocol):
    """Ends a connection whose next header is not wholly there in time.

    The time runs from the connection, or from the first byte of a further request; between two
    requests uvicorn has its own clock. Bodies, handlers and WebSockets have other deadlines.
    """

    within_s: ClassVar[float]
    gave_up: Callable[[], None]
    """Given by `punctual`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock."""
        super().connection_made(transport)
        self._start()

    def data_received(self, data: bytes) -> None:
        """Stops the clock when the header is whole."""
        if self._deadline is None:
            self._start()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        self._stop()
        super().connection_lost(exc)

    def _start(self) -> None:
        self._deadline = self.loop.call_later(self.within_s, self._give_up)

    def _give_up(self) -> None:
        self.gave_up()
        self.transport.abort()

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def punctual(within_s: float, gave_up: Callable[[], None]) -> type[PunctualProtocol]:
    """The protocol with this deadline. A class, because uvicorn makes the instances.

    Args:
        gave_up: called for each connection that is ended.
    """
    given = {"within_s": within_s, "gave_up": staticmethod(gave_up)}
    return type("PunctualProtocol", (PunctualProtocol,), given)
