"""What is to be played: recordings as frames, and who plays which of them when. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count, takewhile
from pathlib import Path

from engine.messages import SAMPLE_RATE
from gateway.bench.protocol import Native
from gateway.bench.protocols import PROTOCOLS
from gateway.bench.words import TimedWord, normalised

SAMPLE_BYTES = 2
"""Audio is sent as pcm_s16le, mono, at 16 kHz: nothing to resample on either side."""
REPEAT_GAP_MS = 1000
"""Silence before a recording begins again, so that its last segment ends."""


@dataclass(frozen=True, slots=True)
class Track:
    """A recording and what is known of it."""

    name: str
    pcm: bytes = field(repr=False)
    words: tuple[TimedWord, ...] = ()
    """When each word was spoken; empty: not known."""
    reference: str = ""
    """What was said; empty: not known."""

    @property
    def duration_ms(self) -> float:
        """Of one pass."""
        return len(self.pcm) / SAMPLE_BYTES / SAMPLE_RATE * 1000

    def frames(self, frame_ms: int) -> list[bytes]:
        """One pass and the gap behind it, in whole frames; to be repeated."""
        size = frame_ms * SAMPLE_RATE // 1000 * SAMPLE_BYTES
        padded = self.pcm + bytes(REPEAT_GAP_MS * SAMPLE_RATE // 1000 * SAMPLE_BYTES)
        padded += bytes(-len(padded) % size)
        return [padded[at : at + size] for at in range(0, len(padded), size)]

    def period_ms(self, frame_ms: int) -> int:
        """From one beginning of the recording to the next."""
        return len(self.frames(frame_ms)) * frame_ms

    def spoken(self, period_ms: int, until_ms: float) -> list[TimedWord]:
        """The words that end before ``until_ms`` of playing and repeating."""
        return list(
            takewhile(
                lambda word: word.end_ms <= until_ms,
                (
                    TimedWord(
                        word, each.start_ms + turn * period_ms, each.end_ms + turn * period_ms
                    )
                    for turn in (count() if self.words else ())
                    for each in self.words
                    for word in normalised(each.word).split()
                ),
            )
        )


@dataclass(frozen=True, slots=True)
class Load:
    """One run: so many sessions, each at the pace of speech."""

    url: str
    """Of the server."""
    tracks: tuple[Track, ...]
    """Session ``i`` plays track ``i`` modulo their number."""
    sessions: int
    stagger_s: float
    """The beginnings of all sessions are spread evenly over so long."""
    frames: int
    """That each session sends before it stops."""
    frame_ms: int
    linger_s: float = 30.0
    """How long finals may take after the last session has stopped."""
    api_key: str | None = field(default=None, repr=False)
    """For a server that asks for one."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Of sessions in our own protocol."""
    protocols: tuple[str, ...] = ("native",)
    """Names of `protocols.PROTOCOLS`; sessions take them in turns, each for every track."""
    language: str | None = None

    def protocol(self, session: int) -> Native:
        """What a session speaks; a new one each time."""
        turn = session // len(self.tracks) % len(self.protocols)
        return PROTOCOLS[self.protocols[turn]](self.language)

    def track(self, session: int) -> Track:
        """What a session plays."""
        return self.tracks[session % len(self.tracks)]

    def offset_s(self, session: int) -> float:
        """When a session begins, after the run does."""
        return session * self.stagger_s / self.sessions

    @property
    def duration_s(self) -> float:
        """Of one session's audio."""
        return self.frames * self.frame_ms / 1000

    def shares(self, processes: int) -> list[list[int]]:
        """The sessions of each process: every process has some of each time and track."""
        each = [list(range(i, self.sessions, processes)) for i in range(processes)]
        return [share for share in each if share]


def read_track(path: Path, words: tuple[TimedWord, ...] = (), reference: str = "") -> Track:
    """An audio file as a track.

    Raises:
        InvalidAudio, OSError: as `gateway.audio.decode_file`.
    """
    import numpy as np

    from gateway.audio import decode_file

    pcm = np.rint(decode_file(path) * 32_767).astype("<i2").tobytes()
    return Track(path.name, pcm, words, reference or " ".join(word.word for word in words))
