"""Everything that a client can be told went wrong, and what each means on every transport.

* `GatewayError`: base class

  * refusals that leave the session open:

    * `InvalidOption`: an option's name or value
    * `InvalidMessage`: a control message that cannot be understood
    * `InvalidAudio`: audio that cannot be decoded
    * `Unsupported`: understood, but not available here
    * `Conflict`: somebody else changed the same thing first

  * refusals that end the session, reconnecting would not help:

    * `NotFound`: no such path
    * `Unauthorized`: no key or token, or one that is not valid
    * `ForbiddenOrigin`: a browser page that may not use this gateway
    * `QuotaExceeded`: the key's allowance is used up
    * `AudioBacklog`: audio came faster than it can be taken
    * `IdleTimeout`: nothing came for too long
    * `MaxDuration`: the session reached its longest duration
    * `TooLarge`: a file that is larger or longer than allowed
    * `EngineFailed`: the engine fails on this audio
    * `Replaced`: a newer connection took the session up

  * conditions that end the session, reconnecting helps:

    * `TooManySessions`: all places are taken
    * `Overloaded`: no capacity for another session now
    * `SlowConsumer`: the client did not read what was sent to it
    * `ShuttingDown`: this process restarts
    * `Internal`: a fault of ours

Close codes follow one rule: 4000-4499 reconnect, 4500-4999 do not; 1011 and 1012 mean what
RFC 6455 and the IANA registry say. Before the handshake the same error is an HTTP status. Messages
say what to do about it; they never carry the text of another exception, a path or a stack.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

MAX_QUOTED_CHARS = 40
MAX_QUOTED_NUMBER = 10**12


class GatewayError(Exception):
    """An error whose every word may be shown to the client.

    Args:
        message: one sentence that says what is wrong and what to do; default: the class's own.
        id: the client's id of the message that is at fault, where it had one.
        param: the field that is at fault, where the protocol has a place to say so.
        retry_after_ms: when to try again, where that is known.
    """

    code: ClassVar[str]
    """`error.code` on the wire."""
    close_code: ClassVar[int]
    """Of the WebSocket, if the error ends the session."""
    http_status: ClassVar[int]
    """Before the handshake, and for plain HTTP requests."""
    retryable: ClassVar[bool]
    """Whether the same thing, sent again on a new connection, may succeed."""
    recoverable: ClassVar[bool] = False
    """Whether the session stays open."""
    default_message: ClassVar[str]

    def __init__(
        self,
        message: str | None = None,
        *,
        id: str | None = None,
        param: str | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        self.message = self.default_message if message is None else message
        self.id = id
        self.param = param
        self.retry_after_ms = retry_after_ms
        super().__init__(self.message)


class InvalidOption(GatewayError):
    """An option's name or value is refused."""

    code = "invalid_option"
    close_code = 4520
    http_status = 400
    retryable = False
    recoverable = True
    default_message = "An option is not valid: compare the options with the documentation."


class InvalidMessage(GatewayError):
    """A control message cannot be understood."""

    code = "invalid_message"
    close_code = 4521
    http_status = 400
    retryable = False
    recoverable = True
    default_message = "A message could not be understood: compare it with the documentation."


class InvalidAudio(GatewayError):
    """Audio cannot be decoded; nothing of the message was used."""

    code = "invalid_audio"
    close_code = 4522
    http_status = 400
    retryable = False
    recoverable = True
    default_message = "Audio could not be decoded: send it in the encoding that was opened with."


class Unsupported(GatewayError):
    """Understood, but not available: refused rather than ignored."""

    code = "unsupported"
    close_code = 4523
    http_status = 400
    retryable = False
    recoverable = True
    default_message = "This is not available here: leave it out."


class Conflict(GatewayError):
    """Somebody else changed the same thing first: nothing is overwritten unseen."""

    code = "conflict"
    close_code = 4525
    http_status = 409
    retryable = False
    recoverable = True
    default_message = "Somebody changed this first: look at it again, and do what is still needed."


class NotFound(GatewayError):
    """No such path."""

    code = "not_found"
    close_code = 4524
    http_status = 404
    retryable = False
    default_message = "There is nothing here: live audio goes to /v1/stream."


class Unauthorized(GatewayError):
    """No key or token, or one that is not valid (any more)."""

    code = "unauthorized"
    close_code = 4501
    http_status = 401
    retryable = False
    default_message = (
        "Send a valid key as 'Authorization: Bearer KEY', or a fresh token from POST /v1/tokens "
        "as the subprotocol pair scribewire.auth, TOKEN."
    )


class ForbiddenOrigin(GatewayError):
    """A browser page from an origin that may not use this gateway."""

    code = "forbidden_origin"
    close_code = 4502
    http_status = 403
    retryable = False
    default_message = (
        "Pages of this origin may not connect: ask the operator to add it to the allowed origins."
    )


class QuotaExceeded(GatewayError):
    """The key's allowance is used up. Not "busy": coming back at once would be refused again."""

    code = "quota_exceeded"
    close_code = 4529
    http_status = 429
    retryable = False
    default_message = "The quota of this key is used up: wait until it renews or ask for more."


class TooManySessions(GatewayError):
    """As many sessions as allowed are open."""

    code = "too_many_sessions"
    close_code = 4429
    http_status = 429
    retryable = True
    default_message = "Too many sessions are open: close one, or try again later."


class Overloaded(GatewayError):
    """There is no capacity for another session now."""

    code = "overloaded"
    close_code = 4429
    http_status = 503
    retryable = True
    default_message = "The server has no capacity left: try again later."


class AudioBacklog(GatewayError):
    """Audio came faster than it can be taken, for longer than can be buffered."""

    code = "audio_backlog"
    close_code = 4503
    http_status = 429
    retryable = False
    default_message = "Audio came faster than it can be transcribed: send it at its own pace."


class IdleTimeout(GatewayError):
    """Nothing came from the client for too long."""

    code = "idle_timeout"
    close_code = 4504
    http_status = 400
    retryable = False
    default_message = "Nothing was received for too long: open a session when there is audio."


class MaxDuration(GatewayError):
    """The session reached the longest duration allowed."""

    code = "max_duration"
    close_code = 4505
    http_status = 400
    retryable = False
    default_message = "The session reached its longest duration: open a new one to go on."


class TooLarge(GatewayError):
    """A file is larger or longer than allowed."""

    code = "too_large"
    close_code = 4513
    http_status = 413
    retryable = False
    default_message = "The file is too large: send it in parts."


class SlowConsumer(GatewayError):
    """The client did not read what was sent to it."""

    code = "slow_consumer"
    close_code = 4408
    http_status = 503
    retryable = True
    default_message = "Messages were not read fast enough: reconnect and read continuously."


class EngineFailed(GatewayError):
    """The engine fails on this audio, again and again."""

    code = "engine_failed"
    close_code = 4511
    http_status = 503
    retryable = False
    default_message = "This audio could not be transcribed: do not send the same audio again."


class Replaced(GatewayError):
    """A newer connection took the session up."""

    code = "replaced"
    close_code = 4509
    http_status = 400
    retryable = False
    default_message = "The session goes on over a newer connection: use that one."


class ShuttingDown(GatewayError):
    """This process stops or restarts; another, or the next, takes over."""

    code = "shutting_down"
    close_code = 1012
    http_status = 503
    retryable = True
    default_message = "The server restarts: reconnect."


class Internal(GatewayError):
    """A fault of ours. What it was is in our log, not in the message."""

    code = "internal"
    close_code = 1011
    http_status = 503
    retryable = True
    default_message = "The server failed: reconnect, and tell the operator if it happens again."


def as_fields(error: GatewayError) -> dict[str, Any]:
    """The fields of the wire's `error` message; ``id``, ``param`` … only when known."""
    fields: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "retryable": error.retryable,
    }
    if error.id is not None:
        fields["id"] = error.id
    if error.param is not None:
        fields["param"] = error.param
    if error.retry_after_ms is not None:
        fields["retry_after_ms"] = error.retry_after_ms
    return fields


def quoted(value: object) -> str:
    """What a client sent, fit for a sentence: short printable values as is, others by kind."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int():
            return str(value) if abs(value) < MAX_QUOTED_NUMBER else "a very large number"
        case float():
            return repr(value) if math.isfinite(value) else "a number that is not finite"
        case str() if len(value) <= MAX_QUOTED_CHARS and value.isprintable():
            return f'"{value}"'
        case str():
            return f"a text of {len(value)} characters"
        case bytes():
            return "binary data"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "a map"
        case _:
            return "a value of an unknown kind"


def all_errors() -> list[type[GatewayError]]:
    """Every class of the tree but its base."""
    return GatewayError.__subclasses__()
