"""From what a session sent and heard to latencies. Pure.

"Sent" is when the frame that holds a sample was handed to the socket, "spoken" when the schedule
says the sample was: a frame is sent when its last sample has been spoken.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.bench.client import SessionLog
from gateway.bench.protocol import Event

DESCRIPTIONS = {
    "chunk_to_partial_ms": (
        "Last sample that a partial covers sent → partial received. Without the wait for the "
        "chunk, and without the wait for the model: a step takes all audio there is when it begins."
    ),
    "chunk_to_text_with_wait_ms": (
        "First sample that no text covered yet sent → the partial or final that covers it "
        "received. With the wait for the chunk and every other wait: nothing is longer."
    ),
    "first_partial_ms": (
        "Sample where speech started sent → first partial of its segment received. "
        "With the wait for the chunk."
    ),
    "first_text_ms": (
        "As first_partial_ms, but a final counts too: short segments have no partial. "
        "With the wait for the chunk."
    ),
    "final_ms": (
        "Sample where speech ended sent → final received, of segments that silence closed. "
        "With the wait for endpoint_ms of silence."
    ),
    "final_after_endpoint_ms": (
        "Sample with which endpoint_ms of silence had passed sent → final received. "
        "Without the wait for the silence; frames and detector add up to 132 ms of their own."
    ),
    "cadence_ms": "Audio between two partials of a segment: how far chunk_ms was stretched.",
    "word_shown_ms": (
        "Word spoken (its end) → first shown rightly, stable or not. With the wait for the chunk."
    ),
    "word_stable_ms": (
        "Word spoken (its end) → in stable or final text. With the wait for the chunk."
    ),
    "connect_ms": "Connection asked for → the session is ready to hear. With the handshake.",
    "resume_ms": "Connection lost → ready again, of those that came back; 1 s of it they are away.",
    "send_late_ms": (
        "The load generator itself: frame due → handed to the socket. Late sending voids a run."
    ),
}
"""Every figure says whether the wait for the chunk is in it."""


class Measure(NamedTuple):
    """One latency."""

    at: float
    """When it ended, by `time.monotonic`."""
    ms: float


Measures = dict[str, list[Measure]]


@dataclass(slots=True)
class Timeline:
    """A session's clock: which sample was spoken and sent when."""

    log: SessionLog

    def spoken(self, ms: float) -> float:
        """When the sample at ``ms`` was spoken, by the schedule."""
        return self.log.began + ms / 1000

    def sent(self, ms: float) -> float:
        """When the sample before ``ms`` was sent; the last frame's time for what never was."""
        frame = max(0, -int(-ms // self.log.frame_ms) - 1)
        return self.log.sent[min(frame, len(self.log.sent) - 1)]


@dataclass(slots=True)
class Follower:
    """Follows one session's messages in order; latencies gather in `measures`.

    Args:
        endpoint_ms: the session's.
        since: what was spoken before this time is warm-up and not measured.
    """

    log: SessionLog
    endpoint_ms: int
    since: float = 0.0
    measures: Measures = field(default_factory=lambda: {name: [] for name in DESCRIPTIONS})
    conflated: int = 0
    """Partials that the server replaced before they were sent."""
    _onsets_ms: list[int] = field(default_factory=list)
    _silences_ms: list[int] = field(default_factory=list)
    _covered: dict[int, int] = field(default_factory=dict)
    """Up to where a segment's last partial went, in ms."""
    _revision: dict[int, int] = field(default_factory=dict)

    def follow(self) -> None:
        """Measures all."""
        self._follow_connections()
        if not self.log.sent:
            return
        self._follow_sending()
        if not self.log.positions:
            return  # what a message covers is not known: words alone have a latency
        for now, event in self.log.events:
            match event["type"]:
                case "speech_started":
                    self._onsets_ms.append(event["at_ms"])
                case "speech_ended":
                    self._silences_ms.append(event["at_ms"])
                case "partial":
                    self._partial(now, event)
                case "final":
                    self._final(now, event)

    def _follow_connections(self) -> None:
        log = self.log
        if log.connected_s is not None:
            self.measures["connect_ms"].append(Measure(log.began, log.connected_s * 1000))
        if log.away is not None:
            gone, back = log.away
            self.measures["resume_ms"].append(Measure(back, (back - gone) * 1000))

    def _follow_sending(self) -> None:
        log = self.log
        gone, back = log.away or (math.inf, -math.inf)
        for frame, sent in enumerate(log.sent):
            due = log.due(frame)
            if not gone <= due <= back:  # what was said without a connection is nobody's delay
                self.measures["send_late_ms"].append(Measure(sent, (sent - due) * 1000))

    def _partial(self, now: float, event: Event) -> None:
        segment, end_ms = event["segment"], event["end_ms"]
        before, onset_ms = self._covered.get(segment), _within(self._onsets_ms, event)
        if before is None and onset_ms is not None:
            self._add("first_partial_ms", now, onset_ms)
        self._add("chunk_to_partial_ms", now, end_ms)
        self._text(now, event)
        cadence_ms = end_ms - (event["start_ms"] if before is None else before)
        if Timeline(self.log).spoken(end_ms) >= self.since:
            self.measures["cadence_ms"].append(Measure(now, cadence_ms))
        self._covered[segment] = end_ms
        self.conflated += event["revision"] - self._revision.get(segment, 0) - 1
        self._revision[segment] = event["revision"]

    def _final(self, now: float, event: Event) -> None:
        if event["text"]:
            self._text(now, event)
        silence_ms = _within(self._silences_ms, event)
        if event["reason"] == "endpoint" and silence_ms is not None:
            self._add("final_ms", now, silence_ms)
            self._add("final_after_endpoint_ms", now, silence_ms + self.endpoint_ms)

    def _text(self, now: float, event: Event) -> None:
        """A partial or final that may show audio that no text had shown before."""
        covered_ms = self._covered.get(event["segment"])
        if covered_ms is None:
            onset_ms = _within(self._onsets_ms, event)
            covered_ms = event["start_ms"] if onset_ms is None else onset_ms
            if onset_ms is not None:
                self._add("first_text_ms", now, onset_ms)
        if event["end_ms"] > covered_ms:
            self._add("chunk_to_text_with_wait_ms", now, covered_ms)

    def _add(self, name: str, now: float, from_ms: int) -> None:
        clock = Timeline(self.log)
        if clock.spoken(from_ms) >= self.since:
            self.measures[name].append(Measure(now, (now - clock.sent(from_ms)) * 1000))


def _within(times_ms: list[int], event: Event) -> int | None:
    """The last of the times that lies in the event's segment."""
    return next(
        (at for at in reversed(times_ms) if event["start_ms"] <= at <= event["end_ms"]), None
    )
