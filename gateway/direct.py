"""Ways past uvicorn's queue and a connection's tasks, where those cost more than the work itself.

ASGI has each connection's own task read and write: a message waits in a queue, for which uvicorn
stops and starts to read from the socket, until its task has its turn. For the frames of audio of
hundreds of sessions that takes longer than the audio; for a room's message, which is the same for
all viewers, five times as long as handing one frame to all sockets in a loop.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from starlette.types import Scope
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

from gateway.framing import Framing

WRITE_NOW, TAKE_NOW = "scribewire.write_now", "scribewire.take_now"
"""Where an ASGI scope has `DirectProtocol.write_now` and `DirectProtocol.take_now`."""
TAKEN_AT_ONCE = 16
"""Messages of a connection, before others have their turn on the event loop."""

WriteNow = Callable[[bytes], bool]
TakeNow = Callable[[bytes], bool]


def text_frame(text: str) -> bytes:
    """A whole unmasked text message (RFC 6455, 5.2), as servers send it without extensions."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


shared_text_frame = lru_cache(maxsize=16)(text_frame)
"""The same, for a message that many are sent."""


def write_now(scope: Scope) -> WriteNow | None:
    """How this connection takes whole frames; None: its server has no such way."""
    return (scope.get("extensions") or {}).get(WRITE_NOW)


def take_now(scope: Scope, take: TakeNow) -> None:
    """Has binary messages handed to ``take`` as they come, if the server has a way to do so.

    Up to `TAKEN_AT_ONCE` of them, and none behind a message that waits for ``receive``.

    Args:
        take: called in the event loop. False: not now; the message waits, and all behind it, for
            the connection's ``receive``. Must raise nothing.
    """
    begin = (scope.get("extensions") or {}).get(TAKE_NOW)
    if begin is not None:
        begin(take)


class DirectProtocol(WebSocketsSansIOProtocol):
    """uvicorn's, with these ways."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._take: TakeNow | None = None
        self._left = 0
        """Messages that may yet be taken in this turn of the event loop."""
        self._framing = Framing()
        self._held = b""
        """The beginning of a frame that is too little to tell what it is."""

    def handle_connect(self, event: Request) -> None:
        """Offers them to the application."""
        super().handle_connect(event)
        if not self.handshake_complete:  # else it was refused already
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[WRITE_NOW] = self.write_now
            extensions[TAKE_NOW] = self.take_now

    def write_now(self, frame: bytes) -> bool:
        """Writes a frame of `text_frame`, unless the peer is slow or the connection is ending.

        Returns:
            Whether it was written. If not, ``send`` has the deadlines and errors.
        """
        open_ = self.handshake_complete and self.conn.state is State.OPEN
        if not open_ or not self.writable.is_set() or self.transport.is_closing():
            return False
        self.transport.write(frame)
        return True

    def take_now(self, take: TakeNow) -> None:
        """See the function."""
        self._take = take

    def data_received(self, data: bytes) -> None:
        """Hands whole binary messages over, as long as no other waits; the rest is uvicorn's."""
        if not self.handshake_initiated:  # uvicorn gives us the request by itself
            super().data_received(data)
            return
        self._left = TAKEN_AT_ONCE
        if self._held:
            data, self._held = self._held + data, b""
        at = kept = 0
        """Up to where ``data`` was looked at; from where on it is still to be passed on."""
        while at < len(data):
            end, message = self._framing.next(data, at)
            if end == at:
                self._held = data[at:]
                break
            if message is not None:
                if kept < at:
                    super().data_received(data[kept:at])
                kept = end if self._taken(message) else at
            at = end
        if kept < at:
            super().data_received(data[kept:at])

    def handle_bytes(self, event: Frame) -> None:
        """The same for a message that `websockets` put together."""
        if not event.fin or not self._taken(bytes(event.data)):
            super().handle_bytes(event)

    def _taken(self, message: bytes) -> bool:
        if self._take is None or not self._left or not self.queue.empty():
            return False
        if len(message) > self.config.ws_max_size:  # `websockets` says so, and closes
            return False
        is_taken = self.conn.state is State.OPEN and self._take(message)
        self._left = self._left - 1 if is_taken else 0  # none overtakes one that is to wait
        return is_taken
