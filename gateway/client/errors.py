"""How a session fails, whoever found it: one class, with the server's own code where it gave one.

Codes beside the protocol's, for what the client finds itself: `unreachable` (nobody answers),
`refused` (a handshake refused without a reason of the protocol), `connection_lost`, `stalled`
(connected, but nothing comes), `incomplete` (done before all audio was taken) and `closed`
(sending after the end). A server that does not speak the protocol is an `invalid_message`.
"""

import json
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

_RETRYABLE_STATUS = frozenset({429, 502, 503, 504})
# 1001 going away, 1006 no close frame, 1011 internal, 1012 restart, 1013 try again later.
_RETRYABLE_CLOSE = frozenset({1001, 1006, 1011, 1012, 1013})


class SessionError(Exception):
    """The session could not be opened, or ended before it was done.

    Args:
        code: the protocol's ``error.code``, or one of this module's.
        message: one sentence that says what is wrong and what to do.
        retryable: whether connecting again can help.
        close_code: of the WebSocket, if the server sent one.
        http_status: of a refused handshake.
        retry_after_ms: when to try again, where the server said.
    """

    def __init__(
        self,
        code: str,
        message: str,
        retryable: bool = False,
        close_code: int | None = None,
        *,
        http_status: int | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.close_code = close_code
        self.http_status = http_status
        self.retry_after_ms = retry_after_ms

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"


def from_event(event: dict[str, Any], close_code: int | None) -> SessionError:
    """What an ``error`` event that ended the connection says."""
    retryable = event.get("retryable")
    return SessionError(
        str(event.get("code", "internal")),
        str(event.get("message", "The server ended the session without saying why.")),
        retryable if isinstance(retryable, bool) else can_reconnect(close_code),
        close_code,
        retry_after_ms=_whole(event.get("retry_after_ms")),
    )


def from_response(response: Response) -> SessionError:
    """What a refused handshake says: in the body, if it is the protocol's, else by its status."""
    status = response.status_code
    body = _error_body(response.body)
    if body is None:
        body = {
            "code": "refused",
            "message": f"The server answered HTTP {status} instead of opening a session: "
            "check the address.",
        }
    body.setdefault("retryable", status in _RETRYABLE_STATUS)
    error = from_event(body, None)
    error.http_status = status
    if error.retry_after_ms is None:
        error.retry_after_ms = _retry_after_ms(response)
    return error


def from_close(closed: ConnectionClosed) -> SessionError:
    """A connection that ended with neither ``done`` nor ``error``."""
    if closed.rcvd is not None:
        code = closed.rcvd.code
        message = f"The server closed the connection (code {code}) before the session was done."
        return SessionError("connection_lost", message, can_reconnect(code), code)
    # 1011 is what this side sends when its pings are not answered.
    if closed.sent is None or closed.sent.code in (1000, 1011):
        return SessionError("connection_lost", "The connection to the server was lost.", True)
    return not_the_protocol()


def not_the_protocol() -> SessionError:
    """The other side says things that no Scribewire server says."""
    message = "The server does not speak Scribewire's protocol: check the address and its version."
    return SessionError("invalid_message", message)


def stalled() -> SessionError:
    """The other side is there, but does not open a session."""
    message = "The server took the connection but did not open a session: try again later."
    return SessionError("stalled", message, True)


def can_reconnect(close_code: int | None) -> bool:
    """The protocol's rule: 4000-4499 reconnect, 4500-4999 do not; None: no close frame came."""
    if close_code is None:
        return True
    return close_code in _RETRYABLE_CLOSE or 4000 <= close_code < 4500


def _error_body(body: bytes | bytearray) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value.get("type") == "error" else None


def _retry_after_ms(response: Response) -> int | None:
    value = response.headers.get("Retry-After", "")
    # RFC 9110, 10.2.3 also allows a date, which no Scribewire server sends.
    return int(value) * 1000 if value.isascii() and value.isdigit() and len(value) < 10 else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
