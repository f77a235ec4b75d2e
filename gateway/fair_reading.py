"""Sockets that are read a little at a time, so that none of them holds up the others."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

READ_BYTES = 8192
"""Read from a socket in one turn of the event loop. Event loops read up to 256 KiB, and allocate as
much before they know how little there is; of tiny frames that is 65 ms of work at once."""

_BUFFER = memoryview(bytearray(READ_BYTES))
"""For all sockets: what was read is copied before the next one is."""


class Reader(Protocol):
    """What uvicorn's protocols have of `asyncio.Protocol`."""

    def connection_made(self, transport: Any) -> None: ...
    def data_received(self, data: bytes) -> None: ...
    def eof_received(self) -> bool | None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...


class FairlyRead(asyncio.BufferedProtocol):
    """In front of a protocol: reads for it into a buffer of our size.

    Not a base class of it, since uvloop takes no heir of `asyncio.Protocol` for buffered.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get_buffer(self, sizehint: int) -> Any:
        """See `asyncio.BufferedProtocol`."""
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._reader.data_received(bytes(_BUFFER[:nbytes]))

    # All else is the reader's. uvicorn itself calls `data_received`, with the handshake.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._reader.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._reader.data_received(data)

    def eof_received(self) -> bool | None:
        return self._reader.eof_received()

    def pause_writing(self) -> None:
        self._reader.pause_writing()

    def resume_writing(self) -> None:
        self._reader.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._reader.connection_lost(exc)


def fairly_read(protocol: Callable[..., Reader]) -> Callable[..., FairlyRead]:
    """Makes what uvicorn is to use in a protocol's place."""

    def make(**options: Any) -> FairlyRead:
        return FairlyRead(protocol(**options))

    return make
