"""Word latency and word errors: what was shown, aligned with what was spoken. Pure.

Shown text is aligned with the words spoken by then by Levenshtein distance (rapidfuzz), afresh at
each message: a wrong, missing or additional word leaves its neighbours aligned. A word counts as
shown when it is aligned with itself; one that never is has no latency, and is counted as missed.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from rapidfuzz.distance import Levenshtein

from gateway.bench.client import SessionLog
from gateway.bench.figures import Measure, Timeline
from gateway.bench.protocol import Event
from gateway.bench.words import TimedWord, normalised


@dataclass(slots=True)
class WordWatch:
    """When each word of one session was first shown, and when it was stable.

    Args:
        words: single normalised words in the order they were spoken.
    """

    words: Sequence[TimedWord]
    positions: bool = True
    """Whether messages tell up to which audio they go."""
    shown: dict[int, float] = field(default_factory=dict)
    """Index of a word to when it was first shown, by `time.monotonic`."""
    stable: dict[int, float] = field(default_factory=dict)
    _middles: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._middles = [(word.start_ms + word.end_ms) / 2 for word in self.words]

    def take(self, now: float, event: Event) -> None:
        """Takes a partial or final."""
        final = event["type"] == "final"
        text = event["text"] if final else event["stable"] + event["unstable"]
        hypothesis = normalised(text).split()
        settled = len(hypothesis) if final else len(normalised(event["stable"]).split())
        first = bisect_left(self._middles, event["start_ms"])
        begun = self._begun(first, event["end_ms"])
        if not self.positions:
            begun = begun[: nearest_prefix(begun, hypothesis)]
        for at, word in aligned(begun, hypothesis):
            self.shown.setdefault(first + at, now)
            if word < settled:
                self.stable.setdefault(first + at, now)

    def _begun(self, first: int, end_ms: int) -> list[str]:
        words = []
        for word in self.words[first:]:
            if word.start_ms >= end_ms:
                break
            words.append(word.word)
        return words


def aligned(reference: Sequence[str], hypothesis: Sequence[str]) -> list[tuple[int, int]]:
    """Indices of the words that are the same in both, in order."""
    return [
        (code.src_start + i, code.dest_start + i)
        for code in Levenshtein.opcodes(reference, hypothesis)
        if code.tag == "equal"
        for i in range(code.src_end - code.src_start)
    ]


def nearest_prefix(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """The length of the reference's beginning that the hypothesis is nearest to, the shortest of
    several: of audio that may not have been transcribed yet, no word is taken for shown."""
    return min(
        range(len(reference) + 1),
        key=lambda size: (Levenshtein.distance(reference[:size], hypothesis), size),
    )


@dataclass(slots=True)
class WordLatencies:
    """Of one session."""

    shown: list[Measure] = field(default_factory=list)
    stable: list[Measure] = field(default_factory=list)
    spoken: int = 0
    missed: int = 0
    """Words that were never shown rightly."""


def word_latencies(
    log: SessionLog, words: Sequence[TimedWord], since: float = 0.0
) -> WordLatencies:
    """How long after its end each word was shown; words spoken before ``since`` are left out."""
    clock, found = Timeline(log), WordLatencies()
    watch = WordWatch(words, log.positions)
    for now, event in log.events:
        if event["type"] in ("partial", "final"):
            if not log.positions:
                event = event | {"end_ms": (now - log.began) * 1000}
            watch.take(now, event)
    for i, word in enumerate(words):
        spoken = clock.spoken(word.end_ms)
        if spoken < since:
            continue
        if not log.left:  # nobody was there any more for the last ones
            found.spoken += 1
            found.missed += i not in watch.shown
        for times, measures in ((watch.shown, found.shown), (watch.stable, found.stable)):
            if i in times:
                measures.append(Measure(times[i], (times[i] - spoken) * 1000))
    return found


def transcript(log: SessionLog) -> str:
    """A session's finals."""
    return "".join(event["text"] for _, event in log.events if event["type"] == "final")


def word_errors(said: str, heard: str) -> tuple[int, int]:
    """Words that are wrong, missing or too many, and words said; without case and punctuation."""
    import jiwer

    said, heard = normalised(said), normalised(heard)
    if not said:
        return 0, 0
    found = jiwer.process_words(said, heard)
    return found.substitutions + found.deletions + found.insertions, len(said.split())
