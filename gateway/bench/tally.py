"""What a run comes to, session by session: of no session anything is kept but sums. Pure."""

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gateway.bench.client import SessionLog
from gateway.bench.figures import DESCRIPTIONS, Follower, Measures
from gateway.bench.histogram import Histogram
from gateway.bench.plan import Load
from gateway.bench.spoken import WordLatencies, transcript, word_errors, word_latencies
from gateway.bench.words import TimedWord

WINDOWS = 100
"""Into which a run is cut, at most."""
SHORTEST_WINDOW_S = 2.0
MOST_FAILURES = 20
"""Different ones that are told."""
VOID_ABOVE_MS = 100.0
"""A load generator that sends this late (p99) measures itself."""
LATE_MS = 1000.0


def window_s(ends_s: float) -> float:
    """How long a window of a run is."""
    return max(SHORTEST_WINDOW_S, ends_s / WINDOWS)


@dataclass(slots=True)
class Tally:
    """Takes sessions that are over.

    Args:
        began: the run, by `time.monotonic`, as all times.
        since: what was spoken before is warm-up and not measured.
    """

    load: Load
    endpoint_ms: int
    began: float
    since: float
    window_s: float = 0.0
    windows: int = 0
    by_window: dict[str, Histogram] = field(default_factory=dict)
    """Each figure's latencies, by when they ended."""
    by_kind: dict[str, Histogram] = field(default_factory=dict)
    counts: list[Counter[str]] = field(default_factory=list)
    """Of each kind."""
    by_time: list[Counter[str]] = field(default_factory=list)
    """Of each window."""
    open_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """Of each window: how long sessions were there, all together."""
    failures: set[str] = field(default_factory=set)
    close_codes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.window_s = window_s(self.load.ends_s)
        lasts_s = self.load.ends_s + self.load.linger_s
        self.windows = math.ceil(lasts_s / self.window_s)
        kinds = len(self.load.kinds)
        self.by_window = {name: Histogram(self.windows) for name in DESCRIPTIONS}
        self.by_kind = {name: Histogram(kinds) for name in DESCRIPTIONS}
        self.counts = [Counter() for _ in range(kinds)]
        self.by_time = [Counter() for _ in range(self.windows)]
        self.open_s = np.zeros(self.windows)

    def take(self, log: SessionLog) -> None:
        """Adds a session."""
        kind = self.load.visits[log.index].kind
        follower = Follower(log, self.endpoint_ms, self.since)
        follower.follow()
        spoken = self._spoken(log)
        words = word_latencies(log, spoken, self.since)
        follower.measures["word_shown_ms"] = words.shown
        follower.measures["word_stable_ms"] = words.stable
        self._measure(follower.measures, kind)
        counts = _counted(log, follower, words)
        counts["word_errors"], counts["words_compared"] = self._errors(log, spoken)
        self.counts[kind] += counts
        self._place(log, counts)
        if log.failure and len(self.failures) < MOST_FAILURES:
            self.failures.add(log.failure)
        if not log.left and log.connected_s is not None:
            self.close_codes[str(log.close_code)] += 1

    def total(self, name: str) -> int:
        """A count, of all kinds."""
        return sum(counts[name] for counts in self.counts)

    def window(self, at: float) -> int:
        """In which a time is."""
        return min(max(0, int((at - self.began) / self.window_s)), self.windows - 1)

    def _measure(self, measures: Measures, kind: int) -> None:
        for name, found in measures.items():
            if found:
                ms = [each.ms for each in found]
                self.by_window[name].add([self.window(each.at) for each in found], ms)
                self.by_kind[name].add([kind] * len(ms), ms)

    def _place(self, log: SessionLog, counts: Counter[str]) -> None:
        """Notes in the windows when a session came and went, and what it lacked when it did."""
        if log.connected_s is None:
            self.by_time[self.window(log.ended)]["refused"] += 1
            return
        edges = self.began + np.arange(self.windows + 1) * self.window_s
        inside = np.clip(edges, log.began, log.ended)
        self.open_s += np.diff(inside)
        self.by_time[self.window(log.began)]["began"] += 1
        last = self.by_time[self.window(log.ended)]
        last["ended"] += 1
        last["failed"] += counts["sessions_failed"]
        last["missing"] += counts["finals_missing"] + counts["messages_missing"]

    def _spoken(self, log: SessionLog) -> list[TimedWord]:
        track, frame_ms = self.load.kind(log.index).track, self.load.frame_ms
        return track.spoken(track.period_ms(frame_ms), len(log.sent) * frame_ms)

    def _errors(self, log: SessionLog, spoken: list[TimedWord]) -> tuple[int, int]:
        """Of sessions that heard all, as far as it is known what was said."""
        track = self.load.kind(log.index).track
        turns, rest = divmod(len(log.sent), len(track.frames(self.load.frame_ms)))
        if log.left or log.connected_s is None:
            return 0, 0
        if spoken:
            return word_errors(" ".join(word.word for word in spoken), transcript(log))
        if track.reference and not rest:
            return word_errors(" ".join([track.reference] * turns), transcript(log))
        return 0, 0


def _counted(log: SessionLog, follower: Follower, words: WordLatencies) -> Counter[str]:
    counts = Counter(f"{event['type']}s" for _, event in log.events)
    segments = sum(event["segments"] for _, event in log.events if event["type"] == "done")
    refused = log.connected_s is None
    late = follower.measures["send_late_ms"]
    return Counter(
        sessions=1,
        # Their protocol tells no position in the audio: only words have a latency.
        sessions_without_positions=not log.positions,
        sessions_refused=refused,
        sessions_failed=bool(log.failure) and not refused,
        sessions_vanished=log.left,
        sessions_resumed=log.away is not None,
        sessions_resumed_from_nothing=not log.found,
        frames=len(log.sent),
        partials=counts["partials"],
        partials_late=sum(each.ms > LATE_MS for each in follower.measures["chunk_to_partial_ms"]),
        partials_conflated=follower.conflated,
        finals=counts["finals"],
        finals_missing=max(0, segments - counts["finals"]),
        finals_revised=sum(e["type"] == "final" and e["revised"] for _, e in log.events),
        messages_missing=log.missing,
        errors=counts["errors"] if not refused else 0,
        overloaded_warnings=sum(
            e["type"] == "warning" and e["code"] == "overloaded" for _, e in log.events
        ),
        frames_sent_late=sum(each.ms > VOID_ABOVE_MS for each in late),
        words_spoken=words.spoken,
        words_missed=words.missed,
    )
