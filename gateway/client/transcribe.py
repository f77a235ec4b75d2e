"""A whole recording through a session: paced like a microphone, or as fast as the server allows."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from gateway.captions import Caption, to_text
from gateway.client.errors import SessionError, not_the_protocol
from gateway.client.session import Session
from gateway.client.wire import Event

FRAME_MS = 100
STALL_S = 60.0
"""Longest silence of a server that has all it may have; steps of a loaded one take seconds."""

KEEPALIVE_S = 20.0
"""Between pings while nothing may be sent: servers end sessions from which nothing comes."""

DEFAULT_UNCONFIRMED_MS = 30_000
"""For a server that does not say its limit; the protocol's figure."""
MARGIN_MS = 500
"""Stays unused: the server resamples, so its count and ours may differ by a little."""


@dataclass(slots=True)
class Transcript:
    """What came of a recording; filled event by event."""

    finals: list[Event] = field(default_factory=list)
    captions: list[Caption] = field(default_factory=list)
    """One for each final."""
    notices: list[Event] = field(default_factory=list)
    """Warnings, and errors that the session survived: what may be missing, and why."""
    done: Event = field(default_factory=dict)
    """The server's last word: duration and totals."""

    @property
    def text(self) -> str:
        """All text, exactly as the finals have it."""
        return to_text(self.captions)

    def take(self, event: Event) -> None:
        """Adds an event, if it is one to keep.

        Raises:
            SessionError: a final without text or times.
        """
        match event["type"]:
            case "final":
                self.captions.append(_caption(event))
                self.finals.append(event)
            case "warning" | "error":
                self.notices.append(event)
            case "done":
                self.done = event


async def transcribe_pcm(
    session: Session,
    pcm: bytes,
    *,
    bytes_per_second: int,
    realtime: bool = False,
    on_event: Callable[[Event], object] | None = None,
    stall_s: float = STALL_S,
) -> Transcript:
    """Sends all of ``pcm``, stops the session and collects what was said, up to ``done``.

    Args:
        session: fresh from `connect`; nobody else may iterate over it.
        pcm: whole samples in the session's encoding.
        bytes_per_second: of ``pcm``, at the session's sample rate: tells the size of a sample.
        realtime: send each frame when it would have been spoken; else as fast as is allowed.
        on_event: called with each event but pongs, in order.
        stall_s: how long the server may say nothing while it alone can go on.

    Raises:
        ValueError: ``pcm`` or ``bytes_per_second`` does not fit the session's sample rate.
        SessionError: the session ended before all was transcribed.
    """
    uplink = _Uplink(session, pcm, bytes_per_second, realtime)
    transcript = Transcript()
    sending = asyncio.create_task(uplink.run())
    try:
        async for event in _events(session, uplink, stall_s):
            transcript.take(event)
            if on_event is not None:
                on_event(event)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    if not (uplink.complete and transcript.done):
        message = "The server ended the session before all audio was sent: send the rest again."
        raise SessionError("incomplete", message, True)
    return transcript


class _Uplink:
    """Sends a recording frame by frame, no further ahead of the server than it allows."""

    def __init__(self, session: Session, pcm: bytes, bytes_per_second: int, realtime: bool) -> None:
        rate = session.ready.get("sample_rate")
        if not isinstance(rate, int) or rate <= 0:
            raise not_the_protocol()
        self.sample_bytes, rest = divmod(bytes_per_second, rate)
        if rest or self.sample_bytes <= 0:
            raise ValueError(f"{bytes_per_second} bytes a second do not fit {rate} samples")
        if len(pcm) % self.sample_bytes:
            raise ValueError(f"{len(pcm)} bytes are not whole samples of {self.sample_bytes} bytes")
        self.frame_samples = max(rate * FRAME_MS // 1000, 1)
        # At least a frame: with less the first would never be sent.
        self.window_samples = max(rate * _window_ms(session.ready) // 1000, self.frame_samples)
        self.session, self.pcm, self.rate, self.realtime = session, pcm, rate, realtime
        self.waiting_since: float | None = None
        """Time of the loop since which only the server can go on; None: it has not all it may."""
        self.complete = False
        """All audio was sent."""

    async def run(self) -> None:
        # If the connection ends, whoever iterates over the events is told why.
        with suppress(SessionError):
            await self._send_all()

    def waits_since(self, heard_at: float) -> float:
        """Seconds that only the server could have gone on, and did not since ``heard_at``."""
        if self.waiting_since is None:
            return 0
        return asyncio.get_running_loop().time() - max(heard_at, self.waiting_since)

    async def _send_all(self) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        total = len(self.pcm) // self.sample_bytes
        for start in range(0, total, self.frame_samples):
            end = min(start + self.frame_samples, total)
            if self.realtime:
                # Against the start, so that no delay adds up; a frame is heard when it is over.
                await asyncio.sleep(started + end / self.rate - loop.time())
            await self._room_until(end)
            await self.session.send(self.pcm[start * self.sample_bytes : end * self.sample_bytes])
        self.complete = True
        self.waiting_since = loop.time()
        await self.session.stop()

    async def _room_until(self, end: int) -> None:
        """Returns when the audio up to sample ``end`` may be sent."""
        needed = end - self.window_samples
        if self.session.confirmed_samples < needed:
            self.waiting_since = asyncio.get_running_loop().time()
            await self._confirmed(needed)
            self.waiting_since = None

    async def _confirmed(self, needed: int) -> None:
        while True:
            try:
                async with asyncio.timeout(KEEPALIVE_S):
                    return await self.session.wait_confirmed(needed)
            except TimeoutError:
                await self.session.ping("keepalive")


async def _events(session: Session, uplink: _Uplink, stall_s: float) -> AsyncIterator[Event]:
    loop = asyncio.get_running_loop()
    heard_at = loop.time()
    while True:
        event = await _next_event(session, stall_s)
        if event is None:
            return
        if event["type"] != "pong":
            heard_at = loop.time()
            yield event
        # An answered ping shows that the server lives, not that it goes on.
        elif uplink.waits_since(heard_at) >= stall_s:
            message = f"The server said nothing for {stall_s:g} s: try again later."
            raise SessionError("stalled", message, True)


async def _next_event(session: Session, timeout_s: float) -> Event | None:
    """The next event, a mere `pong` after ``timeout_s`` without one; None: the session is over."""
    try:
        async with asyncio.timeout(timeout_s):
            return await anext(session, None)
    except TimeoutError:
        return {"type": "pong"}


def _window_ms(ready: Event) -> int:
    limits = ready.get("limits")
    limit_ms = limits.get("max_unconfirmed_ms") if isinstance(limits, dict) else None
    if not isinstance(limit_ms, int) or limit_ms <= 0:
        limit_ms = DEFAULT_UNCONFIRMED_MS
    return limit_ms - min(MARGIN_MS, limit_ms // 10)


def _caption(final: Event) -> Caption:
    text, start_ms, end_ms = final.get("text"), final.get("start_ms"), final.get("end_ms")
    if isinstance(text, str) and isinstance(start_ms, int) and isinstance(end_ms, int):
        return Caption(text, start_ms, end_ms)
    raise not_the_protocol()
