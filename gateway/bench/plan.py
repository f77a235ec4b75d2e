"""What is to be played: recordings as frames, kinds of sessions, and who comes when. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate, count, takewhile
from pathlib import Path
from typing import Literal

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


Ending = Literal["stop", "vanish", "resume"]
"""``stop``: the end of the audio is said, and the rest of the text awaited. ``vanish``: the
connection breaks at the end of the audio. ``resume``: it breaks halfway and is taken up again."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a session says, and how."""

    track: Track
    protocol: str = "native"
    """One of `protocols.PROTOCOLS`."""
    language: str | None = None
    weight: float = 1.0
    """How often, beside the others."""

    @property
    def name(self) -> str:
        """For people."""
        return " ".join(filter(None, (self.protocol, self.track.name, self.language)))

    def spoken_by(self, protocol: str) -> "Kind":
        """The same in another protocol."""
        return replace(self, protocol=protocol)

    def adapter(self) -> Native:
        """A session's own."""
        return PROTOCOLS[self.protocol](self.language)


@dataclass(frozen=True, slots=True)
class Visit:
    """One session: when it comes, what it says, and how it leaves."""

    at_s: float
    """After the run began."""
    frames: int
    """That it sends."""
    kind: int = 0
    """Index into the load's kinds."""
    ending: Ending = "stop"


@dataclass(frozen=True, slots=True)
class Load:
    """One run: sessions at the pace of speech. All of it is known before it begins, so that a slow
    server is not spared what it was to be loaded with."""

    url: str
    """Of the server."""
    kinds: tuple[Kind, ...]
    visits: tuple[Visit, ...]
    """In the order they come."""
    frame_ms: int
    together: bool = True
    """Whether all connect before the first one speaks, and all must be let in. Otherwise each
    connects when it comes, and who is refused is counted."""
    linger_s: float = 30.0
    """How long finals may take after a session has stopped."""
    api_key: str | None = field(default=None, repr=False)
    """For a server that asks for one."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Of sessions in our own protocol."""

    def kind(self, session: int) -> Kind:
        """What a session is."""
        return self.kinds[self.visits[session].kind]

    def length_s(self, session: int) -> float:
        """Of its audio."""
        return self.visits[session].frames * self.frame_ms / 1000

    @property
    def begun_s(self) -> float:
        """When the last session comes, if all that come stay."""
        return self.visits[-1].at_s if self.together else 0.0

    @property
    def ends_s(self) -> float:
        """When the last session stops speaking."""
        return max(visit.at_s + self.length_s(i) for i, visit in enumerate(self.visits))

    @property
    def peak(self) -> int:
        """The most sessions that speak at a time."""
        comings = [(visit.at_s, 1) for visit in self.visits]
        goings = [(visit.at_s + self.length_s(i), -1) for i, visit in enumerate(self.visits)]
        return max(accumulate(change for _, change in sorted(comings + goings)))

    def shares(self, processes: int) -> list[list[int]]:
        """The sessions of each process: every process has some of each time and kind."""
        each = [list(range(i, len(self.visits), processes)) for i in range(processes)]
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
