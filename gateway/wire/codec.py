"""What a protocol is to the gateway: how it opens, what it says, when it gives up. No I/O.

A `Dialect` is a protocol, served at one path. It opens a `Codec` for each connection: frames in,
`ClientMessage`s out; the session's messages in, frames out. All else is the same for all:
`gateway.connection` runs any codec over `gateway.session`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from engine.messages import ModelInfo
from gateway.errors import GatewayError
from gateway.wire.messages import ClientMessage, Outgoing, Reply
from gateway.wire.resuming import ResumePoint

Frame = str | bytes
"""What a WebSocket carries: text or binary."""


@dataclass(frozen=True, slots=True)
class Keepalive:
    """How long a client may say nothing, in seconds; None: for ever.

    A peer that is gone is noticed by WebSocket pings, whatever is said here.
    """

    first_s: float | None
    """After the connection was opened."""
    idle_s: float | None
    """After any message."""


@dataclass(frozen=True, slots=True)
class Closing:
    """A close frame: its code, and a reason of at most 123 bytes (RFC 6455, 5.5)."""

    code: int
    reason: str = ""


class Codec(Protocol):
    """One connection's translator; keeps what the protocol wants remembered."""

    @property
    def keepalive(self) -> Keepalive:
        """How long this connection may be silent."""
        ...

    def decode(self, frame: Frame) -> Sequence[ClientMessage | Reply]:
        """What a frame asks of the session, and what the codec answers itself, in order.

        Raises:
            GatewayError: the frame was not used.
        """
        ...

    def encode(self, message: Outgoing) -> Sequence[Frame]:
        """The frames that say it, in the order in which messages are sent; may be none."""
        ...

    def closing(self, error: GatewayError) -> Closing:
        """How the protocol closes because of an error."""
        ...


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client asked for when it connected."""

    query: Sequence[tuple[str, str]]
    subprotocols: Sequence[str]
    headers: Mapping[str, str]
    """Names in lower case."""


@dataclass(frozen=True, slots=True)
class Host:
    """What a codec may know of the server, and of the session that it is opened for."""

    session: str
    """32 hexadecimal digits."""
    model: ModelInfo
    opened_at: float
    """Seconds since 1970."""
    keepalive: Keepalive
    """As configured."""
    max_control_bytes: int
    max_session_s: float


@dataclass(frozen=True, slots=True)
class Rejoining:
    """What a client says that lost its connection."""

    point: ResumePoint
    codec: Codec
    """Goes on where the lost connection's codec was: for a session that is still here."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A connection that may be accepted."""

    codec: Codec
    """Of a session that is new here."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the session, for `options.parse_options`."""
    subprotocol: str | None = None
    """To be accepted; None: name none."""
    resumable: bool = False
    """Whether the protocol has a way to come back to the session."""
    rejoining: Rejoining | None = None
    """None: a new session is wanted."""


class Dialect(Protocol):
    """A protocol."""

    def open(self, handshake: Handshake, host: Host) -> Opening:
        """A codec for a new connection.

        Raises:
            GatewayError: the connection is refused.
        """
        ...

    def refused(self, handshake: Handshake, host: Host) -> Opening:
        """A codec that can say why a connection is refused, whatever is wrong with it."""
        ...

    def refusal(self, error: GatewayError, host: Host) -> Mapping[str, Any]:
        """The JSON body of the HTTP response to a connection that is refused."""
        ...
