"""Tokens: only a gateway makes them, and they say what it said, until they expire."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.keys import Key, KeyRing, digest_of
from gateway.access.tokens import Claims, TokenError, Tokens, new_token_id

NOW = 1_800_000_000
ALICE = Key("alice", digest_of("alice's key"))
RING = KeyRing([ALICE])
SECRET = "a secret that two gateways share, 32 characters"


def tokens(now: float = NOW, secret: str = SECRET) -> Tokens:
    return Tokens(secret, lambda: now)


def reason(reader: Tokens, token: str, ring: KeyRing = RING) -> str:
    """Why a token is not valid."""
    with pytest.raises(TokenError) as refusal:
        reader.read(token, ring)
    return refusal.value.reason


def test_what_was_said_is_read() -> None:
    claims = Claims("alice", NOW + 60, {"language": "en"}, {"type": "transcription"}, "one")

    assert tokens().read(tokens().issue(claims, ALICE), RING) == (claims, ALICE)


def test_a_token_fits_where_a_browser_can_put_it() -> None:
    token = tokens().issue(Claims("alice", NOW + 60, {"context": "Zürich ?&=+/,;"}), ALICE)

    # RFC 7230's token, which a subprotocol is, and an address's query as it is.
    assert set(token) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def test_it_expires_to_the_second() -> None:
    token = tokens().issue(Claims("alice", NOW + 60), ALICE)

    assert tokens(NOW + 59.9).read(token, RING)[1] == ALICE
    assert reason(tokens(NOW + 60), token) == "expired"


def test_it_ends_with_its_key() -> None:
    token = tokens().issue(Claims("alice", NOW + 60), ALICE)
    other = Key("alice", digest_of("another key of the same name"))

    assert reason(tokens(), token, KeyRing([])) == "invalid"
    assert reason(tokens(), token, KeyRing([other])) == "invalid"


def test_it_is_good_at_every_gateway_with_the_secret_and_at_no_other() -> None:
    token = tokens().issue(Claims("alice", NOW + 60), ALICE)

    assert reason(tokens(secret="another secret, as long as the first"), token) == "invalid"
    assert reason(Tokens("", lambda: NOW), token) == "invalid"
    own = Tokens("", lambda: NOW)
    assert own.read(own.issue(Claims("alice", NOW + 60), ALICE), RING)[1] == ALICE


def test_one_for_a_single_session_opens_one() -> None:
    gateway = tokens()
    token = gateway.issue(Claims("alice", NOW + 60, id=new_token_id()), ALICE)
    claims, _ = gateway.read(token, RING)
    gateway.use(claims)

    assert reason(gateway, token) == "used"
    with pytest.raises(TokenError, match="used"):
        gateway.use(claims)  # read before the other was used


def test_one_for_many_opens_many() -> None:
    gateway = tokens()
    claims = Claims("alice", NOW + 60)

    for _ in range(3):
        gateway.use(claims)
        gateway.read(gateway.issue(claims, ALICE), RING)


def test_what_was_used_is_remembered_no_longer_than_it_is_valid() -> None:
    now = [float(NOW)]
    gateway = Tokens(SECRET, lambda: now[0])
    for i in range(20_000):
        now[0] = NOW + i / 10
        gateway.use(Claims("alice", int(now[0]) + 60, id=str(i)))

    assert len(gateway._used) < 4000
    with pytest.raises(TokenError, match="used"):
        gateway.use(Claims("alice", int(now[0]) + 60, id="19999"))


GENUINE = tokens().issue(Claims("alice", NOW + 60, {"language": "en"}, id="x"), ALICE)


@given(st.integers(0, len(GENUINE) - 1), st.characters(codec="ascii"))
def test_no_other_token_is_made_of_a_genuine_one(at: int, character: str) -> None:
    changed = GENUINE[:at] + character + GENUINE[at + 1 :]

    if changed != GENUINE:
        assert reason(tokens(), changed) == "invalid"


@given(st.text(max_size=60) | st.text("swt1.AB_-", max_size=80))
def test_whatever_else_is_sent_is_not_valid(text: str) -> None:
    assert reason(tokens(), text) == "invalid"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


@given(JSON | st.fixed_dictionaries({"k": JSON, "x": JSON, "o": JSON, "j": JSON}))
def test_what_is_not_signed_may_say_anything(value: object) -> None:
    payload = base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    assert reason(tokens(), f"swt1.{payload}.{'A' * 43}") == "invalid"


def test_one_of_a_gateway_without_keys_stands_for_none() -> None:
    claims, key = tokens().read(tokens().issue(Claims("", NOW + 60), None), RING)

    assert (claims.key, key) == ("", None)
