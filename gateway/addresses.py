"""Addresses, networks and origins: their one written form, so that they can be compared."""

import ipaddress
import re

IPV6_PREFIX = 64
"""A customer's own network: whoever has one of its addresses has all."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = r"(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)"
_ORIGIN = re.compile(rf"[a-z][a-z0-9+.-]*://{_HOST}(?::[0-9]{{1,5}})?", re.ASCII)


def is_loopback(host: str) -> bool:
    """Whether an address, or the name ``localhost``, is this machine's own."""
    try:
        return _unmapped(host).is_loopback
    except ValueError:
        return host == "localhost"


def network_of(address: str) -> str:
    """What belongs to one client: an IPv4 address, or an IPv6 network."""
    try:
        parsed = _unmapped(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.ip_network((int(parsed), IPV6_PREFIX), strict=False))


def is_origin(text: str) -> bool:
    """Whether it is ``scheme://host[:port]`` as browsers write it (RFC 6454, 6.2)."""
    return _ORIGIN.fullmatch(text) is not None


def canonical_origin(text: str) -> str:
    """An origin as browsers write it: lower case, without the scheme's own port.

    Raises:
        ValueError: not an origin.
    """
    lowered = text.strip().rstrip("/").lower()
    if not is_origin(lowered):
        raise ValueError(f"{text!r} is not an origin like https://example.com:8443")
    port = _DEFAULT_PORTS.get(lowered.partition("://")[0])
    return lowered.removesuffix(f":{port}")


def parse_origins(text: str) -> frozenset[str]:
    """A list with commas as the origins that it names; ``*`` stays.

    Raises:
        ValueError: names the part that is no origin.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return frozenset(part if part == "*" else canonical_origin(part) for part in parts)


def _unmapped(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed
