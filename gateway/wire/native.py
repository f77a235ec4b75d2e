"""The native protocol's codec: frames to client messages, server maps to frames.

Whatever bytes or text come in, only `GatewayError` comes out: each names what is wrong and carries
the client's ``id`` where one could be read.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NoReturn

import msgpack

from gateway.errors import (
    GatewayError,
    InvalidAudio,
    InvalidMessage,
    InvalidOption,
    as_fields,
    quoted,
)
from gateway.wire.codec import Closing, Frame, Handshake, Host, Keepalive, Opening, Rejoining
from gateway.wire.messages import (
    AudioFrame,
    ClientMessage,
    Configure,
    Finalize,
    Outgoing,
    Ping,
    Reply,
    Stop,
    to_map,
)
from gateway.wire.resuming import split_resume
from gateway.wire.strict_json import SURROGATE, dump_json, parse_json, unique_keys

Format = Literal["json", "msgpack"]

JSON_SUBPROTOCOL = "scribewire.json.v1"
MSGPACK_SUBPROTOCOL = "scribewire.msgpack.v1"
AUTH_SUBPROTOCOL = "scribewire.auth"

MAX_ID_CHARS = 128
# A container's announced length is allocated before its items are read, at each of up to 1,024
# levels: unbounded, 64 KiB of nested headers would take hundreds of megabytes.
MAX_MSGPACK_ITEMS = 64

UNHURRIED = Keepalive(first_s=None, idle_s=None)


@dataclass(slots=True)
class NativeCodec:
    """One connection's codec; all it remembers is how many messages it wrote.

    Args:
        format: what control messages are written in.
        max_control_bytes: longest message that is not audio. The limit of a whole frame, audio
            included, is the transport's.
        session: its id, which every message names.
    """

    format: Format = "json"
    max_control_bytes: int = 65_536
    session: str = ""
    keepalive: Keepalive = UNHURRIED
    seq: int = 0
    """Of the last message written."""

    def decode(self, frame: Frame) -> Sequence[ClientMessage]:
        """See `Codec.decode`."""
        if isinstance(frame, str):
            return [self.decode_text(frame)]
        return [self.decode_binary(frame)]

    def encode(self, message: Outgoing) -> Sequence[Frame]:
        """See `Codec.encode`."""
        assert not isinstance(message, Reply), "this codec answers nothing itself"
        self.seq += 1
        return [self.pack(to_map(message, self.session, self.seq))]

    def closing(self, error: GatewayError) -> Closing:
        """The error's own close code, whose range says whether to come back."""
        return Closing(error.close_code)

    def decode_text(self, text: str) -> ClientMessage:
        """The message of a text frame.

        Raises:
            InvalidMessage, InvalidAudio: the session stays open.
        """
        if self.format == "msgpack":
            raise InvalidMessage(
                "This connection speaks msgpack: send maps in binary frames, no text frames."
            )
        # Characters first: a text that is too long anyway is not encoded just to be measured.
        too_long = len(text) > self.max_control_bytes
        if too_long or len(text.encode(errors="surrogatepass")) > self.max_control_bytes:
            self._refuse_size()
        return _message_of(parse_json(text))

    def decode_binary(self, data: bytes) -> ClientMessage:
        """The message of a binary frame: in JSON mode always audio.

        Raises:
            InvalidMessage, InvalidAudio: the session stays open.
        """
        if self.format == "json":
            return AudioFrame(data)
        value = self._parse_msgpack(data)
        if isinstance(value, bytes):
            return AudioFrame(value)
        message = _message_of(value)
        if len(data) > self.max_control_bytes and not isinstance(message, AudioFrame):
            self._refuse_size(_readable_id(value))
        return message

    def pack(self, message: dict[str, Any]) -> Frame:
        """The text (JSON) or binary (msgpack) frame of a server map.

        Lone surrogates, which no UTF-8 frame can carry, become "?".

        Raises:
            ValueError: NaN or infinity in JSON, which is our bug.
        """
        if self.format == "msgpack":
            packed: bytes = msgpack.packb(message, unicode_errors="replace")
            return packed
        return dump_json(message)

    def _parse_msgpack(self, data: bytes) -> object:
        try:
            return msgpack.unpackb(
                data,
                object_pairs_hook=unique_keys,
                max_array_len=MAX_MSGPACK_ITEMS,
                max_map_len=MAX_MSGPACK_ITEMS,
                max_str_len=self.max_control_bytes,
            )
        # msgpack's errors (format, stack, extra data, UTF-8, limits) are all ValueErrors.
        except ValueError:
            raise InvalidMessage(
                "A binary frame must be one whole msgpack map with text keys and at most "
                f"{MAX_MSGPACK_ITEMS} entries, or one bin value."
            ) from None

    def _refuse_size(self, id: str | None = None) -> NoReturn:
        raise InvalidMessage(
            f"A control message must have at most {self.max_control_bytes} bytes.", id=id
        )


class NativeDialect:
    """`/v1/stream`."""

    def open(self, handshake: Handshake, host: Host) -> Opening:
        """See `Dialect.open`: the query is the session's options.

        Raises:
            InvalidOption: the format is not known, an option is given twice, or it makes no sense
                as a point to resume from.
        """
        for name, count in Counter(name for name, _ in handshake.query).items():
            if count > 1:
                raise InvalidOption(f"{name} is given {count} times: give it once.")
        query = dict(handshake.query)
        format, subprotocol = choose_format(query.pop("format", None), handshake.subprotocols)
        point, options = split_resume(query)
        codec, rejoining = _codec(format, host), None
        if point is not None:
            codec.session = point.session
            # `ready` says again what the client heard last; the messages that it missed follow.
            rejoining = Rejoining(point, replace(codec, seq=point.last_seq - 1))
        return Opening(codec, options, subprotocol, resumable=True, rejoining=rejoining)

    def refused(self, handshake: Handshake, host: Host) -> Opening:
        """See `Dialect.refused`: in the format that was asked for, if one can be made out."""
        for wanted in (dict(handshake.query).get("format"), None):
            try:
                format, subprotocol = choose_format(wanted, handshake.subprotocols)
            except InvalidOption:  # not known, or contradicts the subprotocol
                continue
            return Opening(_codec(format, host), subprotocol=subprotocol)
        raise AssertionError("without a wanted format there is always one")

    def refusal(self, error: GatewayError, host: Host) -> Mapping[str, Any]:
        """The map of the `error` message."""
        return {"type": "error"} | as_fields(error)


def _codec(format: Format, host: Host) -> NativeCodec:
    return NativeCodec(format, host.max_control_bytes, host.session, host.keepalive)


def choose_format(
    query_format: str | None, subprotocols: Sequence[str]
) -> tuple[Format, str | None]:
    """The format of a connection and the subprotocol to accept (None: name none).

    ``?format=`` decides; else the first known subprotocol, as a client lists them in order of
    preference (RFC 6455, 4.1); else JSON. A client that offers only the auth pair gets its name
    back, never the token: browsers fail a connection that accepts none of what they offered.

    Raises:
        InvalidOption: an unknown format, or one that contradicts the only subprotocols offered.
    """
    formats: dict[str, Format] = {JSON_SUBPROTOCOL: "json", MSGPACK_SUBPROTOCOL: "msgpack"}
    offered = [name for name in subprotocols if name in formats]
    fallback = AUTH_SUBPROTOCOL if AUTH_SUBPROTOCOL in subprotocols else None
    if query_format is None:
        return (formats[offered[0]], offered[0]) if offered else ("json", fallback)
    for name, each in formats.items():
        if each == query_format:
            if offered and name not in offered:
                raise InvalidOption(f"format={each} contradicts the subprotocol {offered[0]}.")
            return each, name if offered else fallback
    raise InvalidOption(f"format must be one of json, msgpack, got {quoted(query_format)}.")


def _readable_id(value: object) -> str | None:
    """The id of a message that may be wrong in other ways; None: it has none that is usable."""
    id = value.get("id") if isinstance(value, dict) else None
    if isinstance(id, bool) or not isinstance(id, str | int):
        return None
    text = str(id)
    return text if len(text) <= MAX_ID_CHARS and not SURROGATE.search(text) else None


def _message_of(value: object) -> ClientMessage:
    """The message of a parsed map.

    Raises:
        InvalidMessage: not a map, unknown type, a field that is missing, mistyped or unknown.
        InvalidAudio: ``pcm`` is missing or mistyped.
    """
    if not isinstance(value, dict):
        raise InvalidMessage(f"A message must be a map, got {quoted(value)}.")
    id = _readable_id(value)
    if id is None and value.get("id") is not None:
        raise InvalidMessage(f"id must be text or an integer of at most {MAX_ID_CHARS} characters.")
    fields = {name: each for name, each in value.items() if name not in ("type", "id")}
    match value.get("type"):
        case "audio":
            _refuse_unknown(value, "audio", ("type", "pcm"))
            pcm = value.get("pcm")
            if not isinstance(pcm, bytes):
                raise InvalidAudio("pcm must be binary (in JSON mode: a binary frame).", id=id)
            return AudioFrame(pcm)
        case "configure":
            return Configure(fields, id)
        case "finalize":
            _refuse_unknown(value, "finalize", ("type", "id"))
            return Finalize(id)
        case "ping":
            _refuse_unknown(value, "ping", ("type", "id"))
            if id is None:
                raise InvalidMessage("ping needs an id, which its pong repeats.")
            return Ping(id)
        case "stop":
            _refuse_unknown(value, "stop", ("type",))
            return Stop()
        case None:
            raise InvalidMessage("A message needs a type.", id=id)
        case other:
            raise InvalidMessage(
                f"{quoted(other)} is not a type of message; known are "
                "audio, configure, finalize, ping, stop.",
                id=id,
            )


def _refuse_unknown(value: dict[str, Any], kind: str, known: Collection[str]) -> None:
    for name in value:
        if name not in known:
            raise InvalidMessage(
                f"{kind} has no field {quoted(name)}; known are {', '.join(known)}.",
                id=_readable_id(value),
            )
