"""What a stream must know of its past to go on, as text that a client keeps and gives back. Pure.

With the audio from `Checkpoint.start` on, a stream in another process cuts what follows as this one
would have: nothing is lost, nothing is said twice. It comes back from outside: whatever text that
is, `Checkpoint.decode` gives a state that a stream can be in, or raises.
"""

import base64
import binascii
import struct
from dataclasses import astuple, dataclass

from engine.messages import ms_to_samples
from engine.vad import VadState

_VERSION = 1
_LAYOUT = struct.Struct("<B?9qI")
_NONE = -1
_MOST = 2**47
"""Samples of a session: 278 years, and three times that is exact in every client's numbers."""
_LONGEST_SEGMENT = ms_to_samples(3_600_000)


@dataclass(frozen=True, slots=True)
class OpenSegment:
    """What the cuts of an open segment depend on; session samples."""

    start: int
    speech_end: int
    voiced: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A `Segmenter`'s state, and the end of what was said of its closed segments.

    Taken where little is pending: no onset that may come to nothing, no silence in an open segment.
    """

    vad: bytes
    """See `VadState.tobytes`."""
    at: int = 0
    """Samples heard."""
    start: int = 0
    """The first sample that is still needed."""
    floor: int = 0
    """No segment begins before."""
    speaking: bool = False
    silence_start: int | None = None
    segments: int = 0
    """Begun, the open one included."""
    finalizes: int = 0
    """Reached."""
    open: OpenSegment | None = None
    tail: str = ""
    """The last character of the closed segments' text."""

    @property
    def closed(self) -> int:
        """Segments closed."""
        return self.segments - (self.open is not None)

    def encode(self) -> str:
        """As text that may stand in an address as it is."""
        silence = _NONE if self.silence_start is None else self.silence_start
        segment = (_NONE, _NONE, _NONE) if self.open is None else astuple(self.open)
        packed = _LAYOUT.pack(
            _VERSION, self.speaking, self.at, self.start, self.floor, silence, self.segments,
            self.finalizes, *segment, ord(self.tail or "\0"),
        )  # fmt: skip
        return base64.urlsafe_b64encode(packed + self.vad).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Checkpoint":
        """Inverse of `encode`.

        Raises:
            ValueError: not a checkpoint, or one of another version.
        """
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            data = base64.b64decode(padded, altchars=b"-_", validate=True)
            unpacked = _LAYOUT.unpack_from(data)
        except (UnicodeError, binascii.Error, struct.error) as error:
            raise ValueError("not a checkpoint") from error
        version, speaking, at, start, floor, silence, segments, finalizes, *segment, last = unpacked
        checkpoint = cls(
            VadState.frombytes(data[_LAYOUT.size :]).tobytes(), at, start, floor, speaking,
            None if silence == _NONE else silence, segments, finalizes,
            None if segment[0] == _NONE else OpenSegment(*segment), chr(last) if last else "",
        )  # fmt: skip
        if version != _VERSION or not checkpoint._possible():
            raise ValueError("not a state that a stream can be in")
        return checkpoint

    def _possible(self) -> bool:
        return (
            0 <= self.start <= self.at <= _MOST
            and self.at - self.start <= _LONGEST_SEGMENT
            and 0 <= self.floor <= self.at
            and 0 <= self.closed <= _MOST
            and 0 <= self.finalizes <= _MOST
            and (self.silence_start is None or self._silence_possible(self.silence_start))
            and (self.open is None or self._segment_possible(self.open))
        )

    def _silence_possible(self, silence_start: int) -> bool:
        return self.speaking and self.open is None and 0 <= silence_start <= self.at

    def _segment_possible(self, segment: OpenSegment) -> bool:
        bounds = [self.floor, segment.start, segment.speech_end, self.at]
        heard = self.at - segment.start
        return (
            self.speaking
            and self.start <= segment.start
            and bounds == sorted(bounds)
            and 0 <= segment.voiced <= heard
        )
