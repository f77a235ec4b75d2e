"""How much one key or one address may take, and when it may again."""

from contextlib import ExitStack
from typing import Any

import pytest

from gateway.access import limits as module
from gateway.access.keys import Key
from gateway.access.limits import Limits
from gateway.errors import QuotaExceeded, TooManySessions
from gateway.settings import Settings
from tests.clock import ClockDouble

ALICE, BOB = Key("alice", b"a"), Key("bob", b"b")

THERE, ELSEWHERE = "203.0.113.7", "203.0.113.8"
NOON = 1_800_014_400.0 - 1_800_014_400 % 86_400 + 43_200


@pytest.fixture
def clock() -> ClockDouble:
    return ClockDouble(NOON)


def limits(clock: ClockDouble, **settings: Any) -> tuple[Limits, list[str]]:
    """Limits, and the names of those that were reached."""
    reached: list[str] = []
    return Limits(Settings(**settings), reached.append, clock, clock), reached


def test_sessions_of_a_key(clock: ClockDouble) -> None:
    counted, reached = limits(clock, max_sessions_per_key=2)
    with ExitStack() as open_sessions:
        for _ in range(2):
            open_sessions.enter_context(counted.session(ALICE, THERE))
        with pytest.raises(TooManySessions, match="This key has 2 sessions open"):
            counted.check_session(ALICE, ELSEWHERE)
        with counted.session(BOB, THERE), counted.session(None, THERE):
            pass

    with counted.session(ALICE, THERE):
        assert reached == ["max_sessions_per_key"]


def test_a_key_s_own_limit_counts_before_the_setting(clock: ClockDouble) -> None:
    counted, _ = limits(clock, max_sessions_per_key=5)
    small = Key("small", b"s", max_sessions=1)

    with counted.session(small, THERE), pytest.raises(TooManySessions, match="has 1 sessions"):
        counted.check_session(small, THERE)


def test_sessions_of_an_address_whatever_the_keys(clock: ClockDouble) -> None:
    counted, reached = limits(clock, max_sessions_per_address=2)

    with counted.session(ALICE, THERE), counted.session(None, THERE):
        with pytest.raises(TooManySessions, match="Your address has 2 sessions open") as refusal:
            counted.check_session(BOB, THERE)
        counted.check_session(BOB, ELSEWHERE)
    assert refusal.value.retry_after_ms == 5000
    assert reached == ["max_sessions_per_address"]


def test_an_ipv6_customer_is_one_address(clock: ClockDouble) -> None:
    counted, _ = limits(clock, max_sessions_per_address=1)

    with counted.session(None, "2001:db8::1"):
        with pytest.raises(TooManySessions):
            counted.check_session(None, "2001:db8::ffff:2")
        counted.check_session(None, "2001:db8:0:1::1")


def test_a_session_that_fails_gives_its_place_back(clock: ClockDouble) -> None:
    counted, _ = limits(clock, max_sessions_per_key=1)
    with pytest.raises(RuntimeError), counted.session(ALICE, THERE):
        raise RuntimeError

    counted.check_session(ALICE, THERE)
    assert not counted._sessions_of_key
    assert not counted._sessions_of_address


def test_handshakes_of_an_address_come_back_with_time(clock: ClockDouble) -> None:
    counted, reached = limits(clock, handshakes_per_minute=6)
    for _ in range(6):
        counted.knock(THERE)
    with pytest.raises(TooManySessions, match="Too many connections were opened") as refusal:
        counted.knock(THERE)
    counted.knock(ELSEWHERE)

    assert refusal.value.retry_after_ms == 10_000
    assert reached == ["handshakes_per_minute"]
    clock.now += 10
    counted.knock(THERE)
    with pytest.raises(TooManySessions):
        counted.knock(THERE)


def test_addresses_are_not_remembered_without_bound(
    clock: ClockDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ADDRESSES", 100)
    counted, _ = limits(clock, handshakes_per_minute=1)
    for i in range(1000):
        counted.knock(f"198.51.{i // 250}.{i % 250}")

    assert len(counted._buckets) == 100
    with pytest.raises(TooManySessions):
        counted.knock("198.51.3.249")  # who knocked last is remembered


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_this_machine_has_no_limit(clock: ClockDouble, address: str) -> None:
    counted, reached = limits(clock, handshakes_per_minute=1, max_sessions_per_address=1)
    for _ in range(5):
        counted.knock(address)
    with counted.session(None, address), counted.session(None, address):
        assert not reached


def test_no_limit_is_zero(clock: ClockDouble) -> None:
    counted, _ = limits(
        clock, handshakes_per_minute=0, max_sessions_per_address=0, max_sessions_per_key=0
    )
    with ExitStack() as open_sessions:
        for _ in range(2000):
            counted.knock(THERE)
            open_sessions.enter_context(counted.session(ALICE, THERE))
    counted.spend(ALICE, 1e9)


def test_audio_of_a_day(clock: ClockDouble) -> None:
    counted, reached = limits(clock, audio_minutes_per_day=1)
    counted.spend(ALICE, 59)
    counted.check_session(ALICE, THERE)
    counted.spend(BOB, 59)
    with pytest.raises(QuotaExceeded, match="The 1 minutes of audio") as refusal:
        counted.spend(ALICE, 1)
    with pytest.raises(QuotaExceeded):
        counted.check_session(ALICE, THERE)
    counted.check_session(BOB, THERE)

    assert refusal.value.retry_after_ms == 43_200_000  # it is noon
    assert set(reached) == {"audio_minutes_per_day"}
    clock.now += 43_200
    counted.spend(ALICE, 59)


def test_a_key_may_have_more_audio_than_others_or_no_end_of_it(clock: ClockDouble) -> None:
    counted, _ = limits(clock, audio_minutes_per_day=1)
    counted.spend(Key("much", b"m", audio_minutes_per_day=2), 119)
    counted.spend(Key("endless", b"e", audio_minutes_per_day=0), 1e9)

    with pytest.raises(QuotaExceeded):
        counted.spend(Key("little", b"l", audio_minutes_per_day=0.5), 30)
