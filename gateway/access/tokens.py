"""Short-lived tokens for browsers: who they are for, until when, and what they fix.

A token is ``swt1.PAYLOAD.MAC`` in unpadded base64url: JSON that anybody may read, and its
HMAC-SHA256, which only a gateway can make. It is not a JWT: with one algorithm, one issuer and one
reader, the header in which a JWT's sender names its algorithm would only have to be checked away,
and what is left of such a library is the standard library's `hmac`.

The MAC's key is derived from the gateway's secret and from the digest of the API key that the
token stands for: withdrawing a key withdraws its tokens.
"""

import base64
import binascii
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.access.keys import Key, KeyRing
from gateway.access.used_tokens import Used, UsedHere

TOKEN_PREFIX = "swt1."  # noqa: S105  (not one: what each begins with)
Role = Literal["publisher", "viewer", "editor"]
"""What a token may do in its room: speak there, follow it and nothing else, or follow and correct
it."""

MAX_TOKEN_CHARS = 4096
"""A browser sends it in a header, and servers take lines of 8 KiB."""

_PARTS = re.compile(r"swt1\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})", re.ASCII)


class TokenError(Exception):
    """The token is not valid.

    Args:
        reason: ``invalid``, ``expired`` or ``used``.
    """

    def __init__(self, reason: Literal["invalid", "expired", "used"]) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says."""

    key: str
    """Name of the API key that it stands for; empty on a gateway without keys."""
    expires_at: int
    """Seconds since 1970; not valid from then on."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Session options that it fixes."""
    session: Mapping[str, Any] | None = None
    """OpenAI's own form of them, where the token was asked for in it."""
    id: str | None = None
    """Of a token that opens one session only."""
    role: Role | None = None
    """What it is for in ``room``; None: for sessions, and for no room."""
    room: str = ""


class Tokens:
    """Makes and reads tokens, and remembers which of those for one session were used.

    Args:
        secret: what the signatures are made with; empty: a fresh one, so that the tokens end with
            the process.
        clock: seconds since 1970.
        used: notes of what was used; None: this process's own.
    """

    def __init__(
        self, secret: str = "", clock: Callable[[], float] = time.time, used: Used | None = None
    ) -> None:
        self._secret = secret.encode() or secrets.token_bytes(32)
        self._clock = clock
        self._used = used if used is not None else UsedHere(clock)

    def issue(self, claims: Claims, key: Key | None) -> str:
        """The token that says ``claims``, for the holder of ``key``."""
        fields = {
            "k": claims.key, "x": claims.expires_at, "o": dict(claims.options),
            "s": claims.session, "j": claims.id, "w": claims.role, "r": claims.room,
        }  # fmt: skip
        # A field that says nothing is left out: the token goes into a header.
        payload = _base64(_json({name: each for name, each in fields.items() if each}))
        return f"{TOKEN_PREFIX}{payload}.{self._signature(payload, key)}"

    def read(self, token: str, keys: KeyRing) -> tuple[Claims, Key | None]:
        """What a token says, and the key that it stands for.

        Raises:
            TokenError: not one of ours, of a key that is not valid any more, or expired.
        """
        parts = _PARTS.fullmatch(token) if len(token) <= MAX_TOKEN_CHARS else None
        if parts is None:
            raise TokenError("invalid")
        claims = _claims(parts[1])
        key = keys.named(claims.key) if claims.key else None
        if not hmac.compare_digest(self._signature(parts[1], key), parts[2]):
            raise TokenError("invalid")
        if claims.expires_at <= self._clock():
            raise TokenError("expired")
        if isinstance(claims.id, str) and claims.id in self._used:
            raise TokenError("used")
        return claims, key

    def use(self, claims: Claims) -> None:
        """Takes note that a session was opened with it.

        Raises:
            TokenError: it was for one session, and that was opened already.
        """
        if claims.id is None:
            return
        if not self._used.add(claims.id, claims.expires_at):
            raise TokenError("used")

    def _signature(self, payload: str, key: Key | None) -> str:
        # A key that is gone has no digest, so the signature that comes out is another.
        derived = hmac.digest(self._secret, key.digest if key else b"", "sha256")
        return _base64(hmac.digest(derived, payload.encode(), "sha256"))


def new_token_id() -> str:
    """For a token that opens one session only."""
    return secrets.token_urlsafe(16)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _claims(payload: str) -> Claims:
    """What a payload says, signed or not: only its types can be relied on."""
    try:
        fields = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        key, until, options = fields.get("k", ""), fields["x"], fields.get("o", {})
        well_typed = isinstance(key, str) and isinstance(until, int) and isinstance(options, dict)
    except (binascii.Error, ValueError, RecursionError, KeyError, AttributeError, TypeError):
        raise TokenError("invalid") from None
    if not well_typed:
        raise TokenError("invalid")
    session, id, role = fields.get("s"), fields.get("j"), fields.get("w")
    return Claims(key, until, options, session, id, role, fields.get("r", ""))
