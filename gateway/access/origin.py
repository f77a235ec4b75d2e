"""Where a browser's request comes from: the defence against pages that use somebody else's gateway.

Browsers let any page open a WebSocket to any address (CWE-1385) and say in ``Origin`` which page it
was; other programs send none. Comparing is exact: a substring, a suffix or a pattern is how such
checks were passed before. ``Host`` matters where the address alone is the permission: a name of the
attacker's that is made to point to 127.0.0.1 (DNS rebinding) is its own origin.
"""

from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from starlette.types import Scope

from gateway.addresses import canonical_origin, is_loopback, is_origin


def is_allowed(scope: Scope, allowed: Collection[str]) -> bool:
    """Whether the page that a request comes from, if it comes from one, may use this gateway."""
    origins = _values(scope, b"origin")
    if not origins:
        return True
    if len(origins) > 1 or not is_origin(origins[0]):
        return False
    return origins[0] in allowed or origins[0] == own_origin(scope) or "*" in allowed


def own_origin(scope: Scope) -> str | None:
    """The origin that the request was sent to."""
    hosts = _values(scope, b"host")
    scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
    try:
        return canonical_origin(f"{scheme}://{hosts[0]}") if len(hosts) == 1 else None
    except ValueError:
        return None


def own_host(scope: Scope) -> str:
    """The host that the request was sent to, without the port; empty: not known."""
    return urlsplit(own_origin(scope) or "").hostname or ""


def names_this_machine(scope: Scope, allowed: Iterable[str]) -> bool:
    """Whether ``Host`` is a name that nobody else can make point here."""
    host = own_host(scope)
    return is_loopback(host) or host in {urlsplit(each).hostname for each in allowed}


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for each, value in scope["headers"] if each.lower() == name]
