"""The client's side of the wire: the address, and frames in the two formats."""

import ipaddress
import json
from typing import Any, Literal, Protocol
from urllib.parse import SplitResult, urlencode, urlsplit, urlunsplit

import msgpack

from gateway.client.errors import not_the_protocol

Event = dict[str, Any]
"""A message of the server, as the protocol has it."""

Format = Literal["json", "msgpack"]

DEFAULT_PATH = "/v1/stream"
_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


class Codec(Protocol):
    """Messages to frames and back; stateless."""

    def control(self, message: dict[str, Any]) -> str | bytes:
        """The frame of a control message."""

    def audio(self, pcm: bytes) -> bytes:
        """The frame of audio."""

    def decode(self, frame: str | bytes) -> Event:
        """The event in a frame.

        Raises:
            SessionError: no server of this protocol sends that.
        """


class JsonCodec:
    """Control messages as text, audio as it is."""

    def control(self, message: dict[str, Any]) -> str:
        return json.dumps(message, separators=(",", ":"))

    def audio(self, pcm: bytes) -> bytes:
        return pcm

    def decode(self, frame: str | bytes) -> Event:
        try:
            return _event(json.loads(frame) if isinstance(frame, str) else None)
        except (ValueError, RecursionError):
            raise not_the_protocol() from None


class MsgpackCodec:
    """Everything in maps in binary frames."""

    def control(self, message: dict[str, Any]) -> bytes:
        packed: bytes = msgpack.packb(message)
        return packed

    def audio(self, pcm: bytes) -> bytes:
        return self.control({"type": "audio", "pcm": pcm})

    def decode(self, frame: str | bytes) -> Event:
        try:
            return _event(msgpack.unpackb(frame) if isinstance(frame, bytes) else None)
        # msgpack's errors (format, stack, extra data, UTF-8) are all ValueErrors.
        except ValueError:
            raise not_the_protocol() from None


def codec_of(format: Format) -> Codec:
    """The codec of a format.

    Raises:
        ValueError: there is no such format.
    """
    if format == "json":
        return JsonCodec()
    if format == "msgpack":
        return MsgpackCodec()
    raise ValueError(f"format must be json or msgpack, got {format!r}")


def stream_url(url: str, format: Format, options: dict[str, object]) -> str:
    """The address to connect to: ``url`` with the protocol's path, and the options as its query.

    Options that are None are left out, and so is JSON, the default format.

    Raises:
        ValueError: ``url`` is not an address of a server.
    """
    parts = _split(url)
    named = dict(options) if format == "json" else {"format": format, **options}
    query = urlencode(
        {name: _query_value(each) for name, each in named.items() if each is not None}
    )
    return urlunsplit(
        (
            _SCHEMES[parts.scheme],
            parts.netloc,
            DEFAULT_PATH if parts.path in ("", "/") else parts.path,
            "&".join(each for each in (parts.query, query) if each),
            "",
        )
    )


def is_loopback(url: str) -> bool:
    """Whether the address is this machine's own, by its name or number."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def without_query(url: str) -> str:
    """The address fit to be shown: options may hold names that are nobody else's business."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is not a number, or half an IPv6 address
        valid = False
    if not valid:
        raise ValueError(f"{url!r} is not an address like ws://HOST:PORT")
    return parts


def _query_value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _event(value: object) -> Event:
    if isinstance(value, dict) and isinstance(value.get("type"), str):
        return value
    raise ValueError
