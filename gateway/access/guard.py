"""The decision: may this request, or this connection, have what it asks for?"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from starlette.types import Scope

from gateway.access.credentials import Credential, presented
from gateway.access.grant import Grant
from gateway.access.keys import Key, KeyRing, KeysError, load_keys
from gateway.access.limits import Limits
from gateway.access.origin import is_allowed, names_this_machine
from gateway.access.tokens import TOKEN_PREFIX, Claims, TokenError, Tokens
from gateway.access.used_tokens import UsedInFolder
from gateway.addresses import is_loopback, parse_origins
from gateway.errors import ForbiddenOrigin, Unauthorized
from gateway.settings import Settings

OPEN_PATHS = frozenset(
    {"/", "/watch", "/overlay", "/monitor", "/healthz", "/readyz", "/favicon.ico"}
)
"""Pages have nothing in them; what `/monitor` shows it asks of `/metrics`, which is not open."""
OPEN_PREFIX = "/static/"
METRICS_PATH = "/metrics"
ROOM_PREFIX = "/v1/rooms/"
"""Who comes here only follows: such sockets are no sessions, and have limits of their own."""

log = structlog.get_logger("gateway.access")

_REFUSALS = {
    "missing": None,  # the error's own words say all the ways
    "invalid": "This key or token is not valid (any more): ask the operator for a key.",
    "expired": "This token has expired: get a fresh one from POST /v1/tokens.",
    "used": "This token was for one session, which was opened: get a fresh one.",
    "key_in_address": "A key does not belong in an address, which is logged: send it as "
    "'Authorization: Bearer KEY', or a short-lived token of POST /v1/tokens as ?token=.",
    "viewer": "This token is for following a room and opens no session: get one without a role.",
    "metrics": "Metrics are for this machine, for keys, or for all if the operator says so: "
    "set SCRIBEWIRE_METRICS_OPEN.",
    "admin": "This is for the operator: send a key made by `scribewire keys add NAME --admin`; "
    "where no keys are asked for, ask from the gateway's own machine.",
    "key_needed": "This is for keys, not for tokens: send 'Authorization: Bearer KEY'.",
}
"""By reason, as `/metrics` counts it."""


class Guard:
    """Knows keys and tokens, counts, and decides.

    Args:
        denied: told the reason of each refusal for want of permission.
        limited: told the limit of each refusal because of one.
        clock: seconds since 1970.
        used_tokens: folder in which processes that share the port note tokens for one session.

    Raises:
        KeysError: the keys cannot be had.
    """

    def __init__(
        self,
        settings: Settings,
        denied: Callable[[str], None] = lambda reason: None,
        limited: Callable[[str], None] = lambda limit: None,
        clock: Callable[[], float] = time.time,
        used_tokens: Path | None = None,
    ) -> None:
        self._settings, self._denied, self.clock = settings, denied, clock
        self._keys = self._load()
        self._allowed = parse_origins(settings.allowed_origins)
        self._on_loopback = is_loopback(settings.host)
        self.asks_for_keys = settings.has_keys
        """False: whoever reaches the gateway may use it."""
        used = UsedInFolder(used_tokens, clock) if used_tokens is not None else None
        self.tokens = Tokens(settings.token_secret.get_secret_value(), clock, used)
        self.limits = Limits(settings, limited, clock)

    def _load(self) -> KeyRing:
        return load_keys(self._settings.keys_file, self._settings.api_keys.get_secret_value())

    def reload(self) -> None:
        """Reads the keys again; if that fails, those that were read before stay."""
        try:
            self._keys = self._load()
        except KeysError as error:
            log.error("keys_not_reloaded", reason=str(error))
        else:
            log.info("keys_reloaded", keys=len(self._keys))

    def is_open(self, scope: Scope) -> bool:
        """Whether anybody may have it: the page and the health of the process."""
        path = scope["path"]
        return scope["type"] == "http" and (path in OPEN_PATHS or path.startswith(OPEN_PREFIX))

    def decide(self, scope: Scope) -> Grant:
        """What a request or handshake may do.

        Raises:
            ForbiddenOrigin: it comes from a page that may not use this gateway.
            TooManySessions: too many came from this address of late.
            Unauthorized: it has no credential, or one that is not valid.
        """
        address = (scope.get("client") or ("", 0))[0]
        if not is_allowed(scope, self._allowed):
            self._denied("origin")
            raise ForbiddenOrigin()
        self.limits.knock(address, viewing=scope["path"].startswith(ROOM_PREFIX))
        if scope["type"] == "http" and scope["path"] == METRICS_PATH:
            return self._metrics(scope, address)
        return self._identify(scope, address)

    @contextmanager
    def session(self, grant: Grant) -> Iterator[None]:
        """Holds a place for one session.

        Raises:
            TooManySessions, QuotaExceeded: there is none.
            Unauthorized: its token was for one session, which was opened, or opens none.
        """
        self._check_role(grant)
        with self.limits.session(grant.key, grant.address):
            if grant.claims is not None:
                try:
                    self.tokens.use(grant.claims)
                except TokenError as error:
                    raise self._refusal(error.reason) from None
            yield

    def check_session(self, grant: Grant) -> None:
        """Whether a session could begin now; raises as `session` does."""
        self._check_role(grant)
        self.limits.check_session(grant.key, grant.address)

    def _check_role(self, grant: Grant) -> None:
        if grant.claims is not None and grant.claims.role in ("viewer", "editor"):
            raise self._refusal("viewer")

    def check_key(self, grant: Grant) -> None:
        """Whether this is the holder of a key, or of nothing where no key is asked for.

        Raises:
            Unauthorized: it has a token.
        """
        if grant.claims is not None:
            raise self._refusal("key_needed")

    def check_admin(self, grant: Grant, scope: Scope) -> None:
        """Whether this is the operator: an admin's key; where no key is asked for, this machine.

        Raises:
            Unauthorized: it is not.
        """
        self.check_key(grant)
        if self.asks_for_keys:
            allowed = grant.key is not None and grant.key.admin
        else:
            allowed = is_loopback(grant.address) and names_this_machine(scope, self._allowed)
        if not allowed:
            raise self._refusal("admin")

    def _metrics(self, scope: Scope, address: str) -> Grant:
        here = is_loopback(address) and names_this_machine(scope, self._allowed)
        if here or self._settings.metrics_open:
            return Grant(address=address)
        if not self.asks_for_keys:
            raise self._refusal("metrics")
        grant = self._identify(scope, address)
        self.check_key(grant)
        return grant

    def _identify(self, scope: Scope, address: str) -> Grant:
        if not self.asks_for_keys:
            return self._anonymous(scope, address)
        try:
            credential = presented(scope)
        except ValueError:
            raise self._refusal("invalid") from None
        if credential is None:
            raise self._refusal("missing")
        key, claims = self._verified(credential)
        if key is None:
            raise self._refusal("invalid")
        return self._grant(key, claims, address)

    def _anonymous(self, scope: Scope, address: str) -> Grant:
        """Nobody must show anything; but who shows a good token is held to it."""
        if self._on_loopback and not names_this_machine(scope, self._allowed):
            self._denied("host")
            raise ForbiddenOrigin(
                "This gateway is for its own machine and was asked for by another name: "
                "ask the operator to add it to the allowed origins, or to use keys."
            )
        try:
            credential = presented(scope)
        except ValueError:
            credential = None
        if credential is None or not credential.text.startswith(TOKEN_PREFIX):
            return self._grant(None, None, address)
        return self._grant(None, self._verified(credential)[1], address)

    def _verified(self, credential: Credential) -> tuple[Key | None, Claims | None]:
        text = credential.text
        if not text.startswith(TOKEN_PREFIX):
            if credential.source == "query":
                raise self._refusal("key_in_address")
            return self._keys.find(text), None
        try:
            claims, key = self.tokens.read(text, self._keys)
        except TokenError as error:
            raise self._refusal(error.reason) from None
        return key, claims

    def _grant(self, key: Key | None, claims: Claims | None, address: str) -> Grant:
        return Grant(key, claims, address, self.limits.spend, lambda key: self._keys.holds(key))

    def _refusal(self, reason: str) -> Unauthorized:
        self._denied(reason)
        return Unauthorized(_REFUSALS[reason])
