"""How much of the gateway one key or one address may take."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gateway.access.keys import Key
from gateway.addresses import is_loopback, network_of
from gateway.bucket import Bucket
from gateway.errors import GatewayError, QuotaExceeded, TooManySessions
from gateway.settings import Settings

DAY_S = 86_400
RETRY_AFTER_MS = 5000
MAX_ADDRESSES = 20_000
"""Whose handshakes are remembered, in a few MB; beyond, those seen longest ago are forgotten."""


@dataclass(slots=True)
class _Day:
    """Audio of a key on one day, in UTC."""

    number: int = 0
    audio_s: float = 0.0


@dataclass(slots=True)
class Limits:
    """Counts sessions, handshakes and audio; what is over a limit is refused.

    Addresses of this machine have no limit: they are programs of its own, or a proxy that does not
    say for whom it speaks and would be stopped for all.

    Args:
        refused: told the name of the limit that was reached.
        wall: seconds since 1970.
        clock: seconds of a clock that never jumps.
    """

    settings: Settings
    refused: Callable[[str], None] = lambda limit: None
    wall: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    _sessions_of_key: Counter[str] = field(default_factory=Counter)
    _sessions_of_address: Counter[str] = field(default_factory=Counter)
    _audio: dict[str, _Day] = field(default_factory=dict)
    _buckets: OrderedDict[tuple[str, str], Bucket] = field(default_factory=OrderedDict)

    def knock(self, address: str, *, viewing: bool = False) -> None:
        """Takes note of a handshake or request.

        Args:
            viewing: it follows a room, as a whole lecture hall may do from one address.

        Raises:
            TooManySessions: the address has made too many of them of late.
        """
        name = "viewer_handshakes_per_minute" if viewing else "handshakes_per_minute"
        a_minute: int = getattr(self.settings, name)
        if not a_minute or is_loopback(address):
            return
        now, counted = self.clock(), (name, network_of(address))
        bucket = self._buckets.pop(counted, None) or Bucket(a_minute / 60, a_minute, now)
        self._buckets[counted] = bucket  # at the end: seen last
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        if wait_s := bucket.wait_s(now):
            message = "Too many connections were opened from your address: try again later."
            error = TooManySessions(message, retry_after_ms=max(1, round(wait_s * 1000)))
            self._refuse(name, error)
        bucket.take()

    def check_session(self, key: Key | None, address: str) -> None:
        """Whether one more session may begin.

        Raises:
            TooManySessions: the key, or the address, has as many as it may.
            QuotaExceeded: the key's audio of today is used up.
        """
        if key is not None:
            self.check_audio(key)
            most = key.max_sessions or self.settings.max_sessions_per_key
            if most and self._sessions_of_key[key.name] >= most:
                message = f"This key has {most} sessions open: close one, or try again later."
                error = TooManySessions(message, retry_after_ms=RETRY_AFTER_MS)
                self._refuse("max_sessions_per_key", error)
        most = self.settings.max_sessions_per_address
        if most and not is_loopback(address):
            if self._sessions_of_address[network_of(address)] < most:
                return
            message = f"Your address has {most} sessions open: close one, or try again later."
            error = TooManySessions(message, retry_after_ms=RETRY_AFTER_MS)
            self._refuse("max_sessions_per_address", error)

    @contextmanager
    def session(self, key: Key | None, address: str) -> Iterator[None]:
        """Holds the place of one session. Raises as `check_session`."""
        self.check_session(key, address)
        held = [(self._sessions_of_address, network_of(address))]
        if key is not None:
            held.append((self._sessions_of_key, key.name))
        for counter, name in held:
            counter[name] += 1
        try:
            yield
        finally:
            for counter, name in held:
                counter[name] -= 1
                if not counter[name]:
                    del counter[name]

    def spend(self, key: Key, audio_s: float) -> None:
        """Takes note of audio that was received.

        Raises:
            QuotaExceeded: with it, the key's audio of today is used up.
        """
        today = self._today(key)
        today.audio_s += audio_s
        self.check_audio(key)

    def check_audio(self, key: Key) -> None:
        """Whether the key has audio left today; raises as `spend`."""
        minutes = key.audio_minutes_per_day
        if minutes is None:
            minutes = self.settings.audio_minutes_per_day
        if minutes and self._today(key).audio_s >= minutes * 60:
            until_tomorrow_ms = round((DAY_S - self.wall() % DAY_S) * 1000)
            message = (
                f"The {minutes:g} minutes of audio that this key has for a day are used up: "
                "wait until midnight UTC, or ask for more."
            )
            error = QuotaExceeded(message, retry_after_ms=until_tomorrow_ms)
            self._refuse("audio_minutes_per_day", error)

    def _today(self, key: Key) -> _Day:
        number = int(self.wall() // DAY_S)
        day = self._audio.setdefault(key.name, _Day(number))
        if day.number != number:
            day.number, day.audio_s = number, 0.0
        return day

    def _refuse(self, limit: str, error: GatewayError) -> None:
        self.refused(limit)
        raise error
