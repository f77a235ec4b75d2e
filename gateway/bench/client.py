"""One paced session over a bare socket: every frame is encoded before the run, none is awaited."""

import asyncio
import json
import os
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from gateway.bench.pacer import Pacer
from gateway.bench.protocol import Event, Message, Native
from gateway.client.track import Track

UNINTERESTING = ("pong", "confirmed")
MAX_MESSAGE_BYTES = 1 << 20
NO_SOCKET = -1


class RefusedError(Exception):
    """The message is one sentence that says why there is no session."""


@dataclass(slots=True)
class SessionLog:
    """What one session sent and heard. All times are of `time.monotonic`, in seconds; processes
    of one machine share that clock."""

    index: int
    frame_ms: int
    came: float = 0.0
    """When it was to connect."""
    connected_s: float | None = None
    """From then to when it could speak; None: it never could."""
    began: float = 0.0
    """When the first sample was spoken, by the schedule."""
    ended: float = 0.0
    """When the connection was gone."""
    sent: "array[float]" = field(default_factory=lambda: array("d"))
    """When each frame was handed to the socket."""
    events: list[tuple[float, Event]] = field(default_factory=list)
    """Messages and when they were received, without `UNINTERESTING` ones."""
    seq: int = 0
    missing: int = 0
    """Messages that the server numbered and that never came."""
    close_code: int | None = None
    positions: bool = True
    """Whether messages tell exactly up to which audio they go; see `protocols`."""
    failure: str = ""
    """Why the session came to a bad end."""
    left: bool = False
    """Whether it broke the connection itself, for good: what was still to come is not missing."""
    away: tuple[float, float] | None = None
    """From when to when it had no connection, if it came back."""
    found: bool = True
    """Whether the server still had the session when it did."""

    def due(self, frame: int) -> float:
        """When a frame's last sample has been spoken, by the schedule."""
        return self.began + (frame + 1) * self.frame_ms / 1000

    def take(self, now: float, event: Event) -> None:
        """Adds a message."""
        seq = event.get("seq", self.seq + 1)
        self.missing += max(0, seq - self.seq - 1)
        self.seq = seq
        if event["type"] not in UNINTERESTING:
            self.events.append((now, event))


def audio_frames(frames: Sequence[bytes], protocol: Native | None = None) -> list[bytes]:
    """Audio's messages as they go over the wire. Masked once: the mask protects careless proxies
    from chosen bytes (RFC 6455, 10.3), and none of these bytes are chosen."""
    return [_wire(each) for each in map((protocol or Native()).frame, frames)]


def _wire(message: Message) -> bytes:
    binary = isinstance(message, bytes)
    data = message if isinstance(message, bytes) else message.encode()
    return Frame(Opcode.BINARY if binary else Opcode.TEXT, data).serialize(mask=True)


class Client(asyncio.Protocol):
    """One connection of a session: connects, waits for `begin`, sends one frame after the other by
    the pacer, then stops."""

    def __init__(
        self, url: str, frames: Sequence[bytes], until: int, log: SessionLog,
        api_key: str | None = None, protocol: Native | None = None, *, breaks: bool = False,
        place: Track | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            frames: of `audio_frames`; repeated.
            until: the frame before which it ends, counted from the session's first.
            breaks: whether it breaks the connection there, rather than stop.
            place: follows what a session needs to be taken up again.
        """
        self.log = log
        self.ready: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._protocol = ClientProtocol(parse_uri(url), max_size=MAX_MESSAGE_BYTES)
        self._frames, self._until, self._api_key = frames, until, api_key
        self._frame = 0
        """That is sent next."""
        self._breaks, self.place = breaks, place
        self._transport: asyncio.Transport
        self._socket = NO_SOCKET
        """Where frames are written directly while the transport has nothing to send: half of what
        its own way costs. Not with TLS."""
        self._settling: asyncio.TimerHandle | None = None
        self._spoken = protocol or Native()
        log.positions = self._spoken.positions
        self._shown, self._shown_at = "", 0.0
        """The last partial's text, and when there was new text."""
        self._stopped = self._done = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the session."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit
        if transport.get_extra_info("sslcontext") is None:
            self._socket = transport.get_extra_info("socket").fileno()
        request = self._protocol.connect()
        for name, value in self._spoken.headers(self._api_key).items():
            request.headers[name] = value
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Takes what the server says, at the time it came."""
        now = time.monotonic()
        self._protocol.receive_data(data)
        self._take(now)

    def _take(self, now: float) -> None:
        self._flush()
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                self._answered()
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                for each in self._spoken.take(json.loads(bytes(event.data))):
                    self._heard(now, each)

    def _answered(self) -> None:
        error = self._protocol.handshake_exc
        if isinstance(error, InvalidStatus):
            body = bytes(error.response.body or b"")[:300].decode(errors="replace")
            self._fail(f"refused with HTTP {error.response.status_code}: {body}")
        elif error is not None:
            self._fail(f"refused: {error}")
        else:
            self.say(self._spoken.opening())
            for each in self._spoken.connected():
                self._heard(time.monotonic(), each)

    def say(self, messages: Sequence[Message]) -> None:
        """Says them now."""
        for message in messages:
            self._transport.write(_wire(message))

    def _heard(self, now: float, event: Event) -> None:
        if event["type"] == "partial":
            text = event["stable"] + event["unstable"]
            if text == self._shown and not self._spoken.positions:
                return  # such a server repeats itself many times a second
            self._shown, self._shown_at = text, now
        self.log.take(now, event)
        if self.place is not None:
            self.place.hear(event)
        if event["type"] == "error" and not self.ready.done():
            self._fail(f"refused: {event.get('message', event)}")
        if event["type"] == "ready" and not self.ready.done():
            self.ready.set_result(event)
        if event["type"] == "done" and not self._done:
            self._done = True
            if self._spoken.closes and self._protocol.state is State.OPEN:
                self._protocol.send_close(1000)
                self._flush()

    def eof_received(self) -> None:
        """The server has said all; only now an answer without a length is whole."""
        self._protocol.receive_eof()
        self._take(time.monotonic())

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, good or bad."""
        self._socket = NO_SOCKET  # the next to connect may get its number
        if self._settling is not None:
            self._settling.cancel()
        self.log.close_code = self._protocol.close_code
        if self._stopped and not self._done:
            for event in self._spoken.closed():
                self._heard(time.monotonic(), event)
        self.log.ended = time.monotonic()
        if not self._done:
            self._fail(f"closed with {self._protocol.close_code} before it was done")
        if not self.over.done():
            self.over.set_result(None)

    def begin(self, at: float, pacer: Pacer, frame: int = 0) -> None:
        """Speaks by a schedule in which ``at``, a time of `time.monotonic`, is the first sample's.

        Args:
            frame: to begin with; those that were sent before keep the time at which they were.
        """
        self.log.began, self._frame = at, frame
        pacer.add(self.log.due(frame), self._speak)

    def _speak(self) -> float | None:
        """Sends a frame; when the next one is due."""
        if self.over.done():
            return None
        log, frames, frame = self.log, self._frames, self._frame
        if frame == len(log.sent):
            log.sent.append(time.monotonic())
        self._send(frames[frame % len(frames)])
        self._frame = frame = frame + 1
        if frame < self._until:
            return log.due(frame)
        if self._breaks:
            self._break()
        else:
            self._stop()
        return None

    def _break(self) -> None:
        """Is gone, without a word."""
        self._done = True
        self._transport.abort()

    def _send(self, data: bytes) -> None:
        if self._socket != NO_SOCKET and not self._transport.get_write_buffer_size():
            try:
                data = data[os.write(self._socket, data) :]
            except BlockingIOError:
                pass  # the transport waits until there is room
            except OSError:
                return  # the transport will notice
        if data:
            self._transport.write(data)

    def _stop(self) -> None:
        """Says the end, once the text has settled."""
        wait = self._spoken.settle_s - (time.monotonic() - max(self._shown_at, self.log.sent[-1]))
        if self._spoken.settle_s and wait > 0:
            self._settling = asyncio.get_running_loop().call_later(wait, self._stop)
        else:
            self._stopped = True
            self.say(self._spoken.stop())

    def give_up(self, reason: str) -> None:
        """Ends what does not end by itself."""
        if not self.over.done():
            self._fail(reason)
            self._transport.abort()

    def _fail(self, reason: str) -> None:
        self.log.failure = self.log.failure or reason
        if not self.ready.done():
            self.ready.set_exception(RefusedError(reason))

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
