"""One written form for addresses, networks and origins."""

import pytest

from gateway.addresses import canonical_origin, is_loopback, is_origin, network_of, parse_origins


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.168.1.2", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_loopback_is_this_machine_and_nothing_that_looks_like_it(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("unix", "unix"),
    ],
)
def test_what_one_client_can_have_is_counted_together(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://Example.COM", "https://example.com"),
        (" https://example.com:443/ ", "https://example.com"),
        ("http://example.com:80", "http://example.com"),
        ("http://example.com:8080", "http://example.com:8080"),
        ("https://example.com:80", "https://example.com:80"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
    ],
)
def test_an_origin_is_written_as_browsers_do(text: str, origin: str) -> None:
    assert canonical_origin(text) == origin
    assert is_origin(origin)


@pytest.mark.parametrize(
    "text",
    ["example.com", "null", "https://", "https://a@b.example", "https://a.example/path",
     "https://*.example", "https://a.example:port", "https://a.example https://b.example"],
)  # fmt: skip
def test_what_is_no_origin_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not an origin like https://") as refusal:
        canonical_origin(text)
    assert repr(text) in str(refusal.value)


def test_a_list_may_have_spaces_and_gaps() -> None:
    assert parse_origins("") == frozenset()
    assert parse_origins("https://a.example, ,https://b.example:443,*") == {
        "https://a.example",
        "https://b.example",
        "*",
    }
