"""What was decided about one request or connection, for whoever serves it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope

from gateway.access.keys import Key
from gateway.access.tokens import Claims, Role
from gateway.errors import InvalidOption, Unauthorized

SCOPE_KEY = "scribewire.grant"


def _nothing(key: Key, audio_s: float) -> None:
    """A gateway without limits."""


def _always(key: Key) -> bool:
    """A gateway whose keys do not change."""
    return True


@dataclass(frozen=True, slots=True)
class Grant:
    """Whose a request is, what its token fixes and what it may use up."""

    key: Key | None = None
    """None: the gateway asks for none."""
    claims: Claims | None = None
    """Of the token that was presented; None: the key itself was, or nothing."""
    address: str = ""
    """The client's."""
    _spend: Callable[[Key, float], None] = field(default=_nothing, repr=False)
    _is_valid: Callable[[Key], bool] = field(default=_always, repr=False)

    @property
    def owner(self) -> str | None:
        """The key's name. Whose a session is, for logs, and for whoever wants it back."""
        return self.key.name if self.key else None

    @property
    def revoked(self) -> bool:
        """Whether the key was withdrawn meanwhile."""
        return self.key is not None and not self._is_valid(self.key)

    @property
    def fixed_options(self) -> Mapping[str, Any]:
        """Session options that the token fixes."""
        return self.claims.options if self.claims else {}

    @property
    def openai_session(self) -> Mapping[str, Any] | None:
        """The session that an OpenAI client secret was made for."""
        return self.claims.session if self.claims else None

    def spend(self, audio_s: float) -> None:
        """Counts audio that was received.

        Raises:
            QuotaExceeded: the key's audio of today is used up.
        """
        if self.key is not None:
            self._spend(self.key, audio_s)

    def check_options(self, given: Mapping[str, Any], id: str | None = None) -> None:
        """Whether options that a client gives leave alone what its token fixes.

        Raises:
            InvalidOption: names the one that does not; carries ``id``.
        """
        for name, fixed in self.fixed_options.items():
            if name in given and _written(given[name]) != _written(fixed):
                raise InvalidOption(f"{name} is fixed by the token: leave it out.", id=id)

    def check_room(self, room: str, role: Role) -> None:
        """Whether this may speak in a room, or follow it. A key may do both, in its own rooms.

        Raises:
            Unauthorized: it has a token, which is not for that.
        """
        if not self._is_for(room, role) and not (role == "viewer" and self._is_for(room, "editor")):
            raise Unauthorized(
                f"This token is not a {role}'s of this room: get one from POST /v1/tokens."
            )

    def may_correct(self, room: str) -> bool:
        """Whether this may correct what was said in a room."""
        return self._is_for(room, "editor")

    def _is_for(self, room: str, role: Role) -> bool:
        return self.claims is None or (self.claims.role, self.claims.room) == (role, room)


def grant_of(scope: Scope) -> Grant:
    """The grant of a request or connection; without the middleware: everything is allowed."""
    grant = scope.get(SCOPE_KEY)
    return grant if isinstance(grant, Grant) else Grant()


def _written(value: object) -> str:
    """A value as a query writes it: what comes from there is text."""
    return "auto" if value is None else str(value).lower()
