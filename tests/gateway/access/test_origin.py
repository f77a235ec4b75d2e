"""Which pages may use the gateway: exactly its own and those that are listed."""

import pytest

from gateway.access.origin import is_allowed, names_this_machine, own_host, own_origin
from tests.gateway.access.scopes import scope

HOST = "captions.example:8443"
ALLOWED = frozenset({"https://app.example", "http://dev.example:3000", "chrome-extension://abcd"})


def check(*origins: str, scheme: str = "wss", host: str = HOST) -> bool:
    """Whether a handshake with these ``Origin`` headers is let in."""
    headers = [("origin", origin) for origin in origins]
    return is_allowed(scope("websocket", *headers, scheme=scheme, host=host), ALLOWED)


@pytest.mark.parametrize(
    "origin",
    ["https://captions.example:8443", "https://app.example", "http://dev.example:3000",
     "chrome-extension://abcd"],
)  # fmt: skip
def test_its_own_and_the_listed_may(origin: str) -> None:
    assert check(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        "http://captions.example:8443",  # another scheme
        "https://captions.example",  # another port
        "https://captions.example:443",
        "https://captions.example:84430",
        "https://captions.example:8443.evil.example",  # begins with it
        "https://evil-captions.example:8443",  # ends with it
        "https://captions.example.evil.example:8443",
        "https://sub.captions.example:8443",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://evilapp.example",
        "https://notapp.example",
        "http://app.example",
        "HTTPS://APP.EXAMPLE",  # no browser writes it so
        "https://app.example/",
        "https://app.example@evil.example",
        "https://user@app.example",
        "https://app.example https://evil.example",
        "https://app.example,https://evil.example",
        "file://",
        "ws://captions.example:8443",
        "wss://captions.example:8443",
        "https://*",
        "*",
        "chrome-extension://abcde",
        "https://аpp.example".encode().decode("latin-1"),  # a Cyrillic letter
    ],
)
def test_nobody_else_may(origin: str) -> None:
    assert not check(origin)


def test_two_origins_are_none() -> None:
    assert not check("https://app.example", "https://app.example")
    assert not check("https://evil.example", "https://app.example")


def test_a_request_without_origin_comes_from_no_page() -> None:
    assert check()


@pytest.mark.parametrize(
    ("scheme", "host", "origin"),
    [
        ("ws", "127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("ws", "captions.example", "http://captions.example"),
        ("ws", "captions.example:80", "http://captions.example"),
        ("wss", "captions.example:443", "https://captions.example"),
        ("wss", "Captions.Example", "https://captions.example"),
        ("ws", "[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_its_own_origin_is_what_it_was_reached_by(scheme: str, host: str, origin: str) -> None:
    assert own_origin(scope(scheme=scheme, host=host)) == origin
    assert check(origin, scheme=scheme, host=host)


def test_without_one_good_host_there_is_no_own_origin() -> None:
    twice = scope("websocket", ("host", "evil.example"), ("origin", "http://evil.example"))

    assert own_origin(twice) is None
    assert not is_allowed(twice, ALLOWED)
    for host in ("", "a b", "user@host", "host/path"):
        assert own_origin(scope(host=host)) is None
        assert own_host(scope(host=host)) == ""


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1:8000", True),
        ("localhost", True),
        ("[::1]:8000", True),
        ("app.example", True),  # listed, so no surprise
        ("rebound.evil.example:8000", False),
        ("192.168.1.9:8000", False),
        ("", False),
    ],
)
def test_a_name_that_anybody_can_point_here_is_not_this_machine_s(host: str, here: bool) -> None:
    assert names_this_machine(scope(host=host), ALLOWED) is here


def test_a_star_is_for_pages_but_not_for_what_is_no_origin() -> None:
    def starred(*origins: str) -> bool:
        return is_allowed(scope("websocket", *(("origin", each) for each in origins)), {"*"})

    assert starred("https://anywhere.example")
    assert not starred("null")
    assert not starred("https://a.example", "https://b.example")
