"""What was said in a session and is not confirmed, to be said again on a new connection. Pure."""

from collections import deque
from dataclasses import dataclass
from typing import Any

Said = bytes | dict[str, Any]
"""Audio, or a control message."""

SAMPLE_BYTES = {"pcm_s16le": 2, "pcm_f32le": 4, "mulaw": 1, "alaw": 1}


@dataclass(frozen=True, slots=True)
class _Entry:
    said: Said
    start: int
    """The first sample of audio; the place of what is not audio."""
    end: int
    finalize: int = 0
    """Which `finalize` it is, counted from 1; 0: none."""


class Replay:
    """Keeps all that was said, in order, until it is confirmed; and knows what was not yet sent."""

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque()
        self._unsent = 0
        """Index of the first entry that was not sent."""
        self._end = 0
        self._finalizes = self._taken = 0
        self.confirmed = 0
        """Audio before this sample need not be kept."""

    @property
    def held(self) -> int:
        """Samples that are not confirmed."""
        return self._end - self.confirmed

    @property
    def pending(self) -> bool:
        """Whether anything is not confirmed, but a `stop`."""
        return self.held > 0 or any(entry.finalize > self._taken for entry in self._entries)

    def audio(self, pcm: bytes, samples: int) -> None:
        """Keeps audio of so many samples."""
        end = self._end + samples
        self._entries.append(_Entry(pcm, self._end, end))
        self._end = end

    def finalize(self, message: dict[str, Any]) -> None:
        """Keeps a `finalize`, which has its place in the audio."""
        self._finalizes += 1
        self._entries.append(_Entry(message, self._end, self._end, self._finalizes))

    def control(self, message: dict[str, Any]) -> None:
        """Keeps a message that is said again on each connection: `stop`."""
        self._entries.append(_Entry(message, self._end, self._end))

    def next(self) -> Said | None:
        """What is to be sent now, which counts as sent; None: nothing."""
        while self._unsent < len(self._entries):
            entry = self._entries[self._unsent]
            self._unsent += 1
            if not 0 < entry.finalize <= self._taken:
                return entry.said
        return None

    def confirm(self, samples: int, finalizes: int) -> None:
        """Forgets what is before, as far as it was sent."""
        self.confirmed = max(self.confirmed, min(samples, self._end))
        entries = self._entries
        while entries and self._unsent and self._is_over(entries[0], finalizes):
            entries.popleft()
            self._unsent -= 1

    def _is_over(self, entry: _Entry, finalizes: int) -> bool:
        if entry.finalize:
            return entry.finalize <= finalizes
        return isinstance(entry.said, bytes) and entry.end <= self.confirmed

    def rewind(self, next_sample: int, finalizes: int) -> None:
        """A new connection goes on at ``next_sample``, behind so many `finalize` messages."""
        self._taken = finalizes
        self._unsent = 0
        for entry in self._entries:
            audio = isinstance(entry.said, bytes)
            if entry.end > next_sample or not (audio or 0 < entry.finalize <= finalizes):
                break
            self._unsent += 1
        else:
            return
        if entry.start < next_sample and isinstance(entry.said, bytes):
            self._split(entry, next_sample)

    def _split(self, entry: _Entry, at: int) -> None:
        """Parts the first unsent entry, of which a part was taken."""
        assert isinstance(entry.said, bytes)
        taken = (at - entry.start) * (len(entry.said) // (entry.end - entry.start))
        self._entries[self._unsent] = _Entry(entry.said[:taken], entry.start, at)
        self._unsent += 1
        self._entries.insert(self._unsent, _Entry(entry.said[taken:], at, entry.end))
