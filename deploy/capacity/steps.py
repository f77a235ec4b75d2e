"""Minutes of a pool of copies, step by step: a discrete-event simulation of `engine.worker`.

Its rules are those of the engine, which are imported where they are pure: finals first, then who
waited longest; one step at a time for a segment, with all audio that has arrived; the cadence by
`engine.pacing`; a segment stays with its copy while that lives and does not drain.
"""

import heapq
import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count

import numpy as np

from deploy.capacity.copies import CHUNK_S, Copy, Work
from deploy.capacity.states import Flight, Outcome, Served, Speaker, Taken
from deploy.capacity.talk import ENDPOINT_S, SPECULATE_S, Pause, Segment
from engine.messages import SAMPLE_RATE
from engine.pacing import Pacing
from engine.segment import StepKind
from engine.worker import LISTEN_EVERY_S, PACE_EVERY_S

FRAME_S = 0.1
"""Audio that a client sends at a time."""
LOOK_AGAIN_S = 0.25
ONSET_S = 0.33
"""Audio that a segment keeps before its first frame of speech, and that frame."""


class Pool:
    """Runs speakers over copies. Call `speak` and what shall befall it, then `run`."""

    def __init__(self, model: Copy, copies: int, seed: int = 0, pacing: bool = True) -> None:
        self._model, self._copies = model, [Served() for _ in range(copies)]
        self._pacing = Pacing() if pacing else None
        self._cadence, self._active, self._spent = 0.0, 0, 0.0
        self._events: list[tuple[float, int, int, Callable[[], None]]] = []
        self._order, self._rng = count(), np.random.default_rng(seed)
        self._speakers: list[Speaker] = []
        self.now = 0.0
        self.outcome = Outcome()
        self.stretched: list[float] = []
        """The cadence in force, each `PACE_EVERY_S`, in seconds."""

    # What befalls it

    def speak(self, segments: Sequence[Segment]) -> None:
        """One session. Times are the simulation's."""
        speaker = Speaker(self._rng.uniform(0, FRAME_S))
        self._speakers.append(speaker)
        known = 0.0
        for each in segments:
            begin = max(each.start + ONSET_S, known)  # one that goes on behind a cut begins there
            self._at(self._heard(speaker, begin), partial(self._begin, speaker, each))
            known = each.known
            for p in each.pauses:
                self._at(self._heard(speaker, p.begun), partial(self._pause, speaker, p))
                self._at(self._heard(speaker, p.over), lambda: self._go_on(speaker))
            if each.silent:
                last = Pause(each.end, math.inf)
                self._at(self._heard(speaker, each.end), partial(self._pause, speaker, last))
            self._at(self._heard(speaker, each.known), partial(self._close, speaker, each))

    def lose_copy(self, number: int, at: float, found_s: float, back_s: float) -> None:
        """A copy dies, is found dead after ``found_s``, and another serves after ``back_s``."""
        copy = self._copies[number]
        self._at(at, lambda: self._die(copy))
        self._at(at + found_s, lambda: self._move(copy))
        self._at(at + back_s, lambda: self._live(copy))

    def drain_copy(self, number: int, at: float, within_s: float) -> None:
        """A copy takes no new segments from then on; those left after ``within_s`` move."""
        copy = self._copies[number]
        self._at(at, lambda: setattr(copy, "draining", True))
        self._at(at + within_s, lambda: self._end(copy))

    def lose_gateway(self, share: float, at: float, backoff_s: float, per_s: float) -> None:
        """A share of the clients lose their connection, wait up to ``backoff_s`` and come back,
        at most ``per_s`` a second; open segments are heard again from their beginning."""
        self._at(at, lambda: self._cut(share, backoff_s, per_s))

    def run(self, seconds: float) -> Outcome:
        """Until then; it may be run on. What is measured from now on can be parted from what was
        by a new `outcome`."""
        if self._pacing is not None and self.now == 0.0:
            self._at(0.0, self._pace)
        while self._events and self._events[0][0] <= seconds:
            self.now, _, _, event = heapq.heappop(self._events)
            event()
        self.now = seconds
        return self.outcome

    @property
    def unfinished(self) -> int:
        """Segments that were begun and whose finals are missing."""
        return sum(len(each.closed) + (each.open is not None) for each in self._speakers)

    # Time

    def _at(self, time: float, event: Callable[[], None], last: bool = False) -> None:
        heapq.heappush(self._events, (max(time, self.now), last, next(self._order), event))

    def _sent(self, speaker: Speaker, time: float) -> float:
        """When the frame that holds a sample is sent."""
        return speaker.phase + math.ceil((time - speaker.phase) / FRAME_S - 1e-9) * FRAME_S

    def _heard(self, speaker: Speaker, time: float) -> float:
        sent = max(self._sent(speaker, time), speaker.back)
        return math.ceil(sent / LISTEN_EVERY_S - 1e-9) * LISTEN_EVERY_S

    def _clock(self, speaker: Speaker) -> float:
        """Audio that has come."""
        return speaker.phase + math.floor((self.now - speaker.phase) / FRAME_S + 1e-9) * FRAME_S

    def _pace(self) -> None:
        assert self._pacing is not None
        lanes = self._model.lanes * sum(copy.alive for copy in self._copies)
        full = -(-self._active // self._model.max_batch)
        batches = max(full, min(self._active, lanes))
        self._cadence = self._pacing.cadence(self._active, batches) / SAMPLE_RATE
        self.stretched.append(max(CHUNK_S, self._cadence))
        self._at(self.now + PACE_EVERY_S, self._pace)

    # A speaker's segments

    def _begin(self, speaker: Speaker, segment: Segment) -> None:
        speaker.open, speaker.stepped = segment, segment.start
        speaker.silence = speaker.ready = None
        self._active += 1
        self.outcome.begun += 1
        self._look(speaker)

    def _pause(self, speaker: Speaker, pause: Pause) -> None:
        speaker.silence = pause.begun
        self._look(speaker)

    def _go_on(self, speaker: Speaker) -> None:
        speaker.silence = speaker.ready = None
        self._look(speaker)

    def _close(self, speaker: Speaker, segment: Segment) -> None:
        speaker.open, speaker.silence = None, None
        self._active -= 1
        speaker.closed.append(segment)
        if speaker.ready == segment.end:
            self._say_final(speaker, segment)
        speaker.ready = None
        self._look(speaker)

    def _say_partial(self, speaker: Speaker, end: float) -> None:
        self.outcome.partial.append(self.now - self._sent(speaker, end))
        self.outcome.cadence.append(end - speaker.stepped)
        if speaker.due_since is not None:
            self.outcome.waited.append(self.now - speaker.due_since)

    def _say_final(self, speaker: Speaker, segment: Segment) -> None:
        speaker.closed.remove(segment)
        self.outcome.finished += 1
        if segment.silent:
            passed = self._sent(speaker, segment.end - SPECULATE_S + ENDPOINT_S)
            self.outcome.final.append(max(0.0, self.now - passed))
        if speaker.copy is not None:
            speaker.copy.segments -= 1
            speaker.copy, speaker.cold = None, False

    # Steps

    def _due(self, speaker: Speaker) -> tuple[StepKind, float] | None:
        """Why a step is wanted, and up to which audio."""
        if speaker.closed:
            return StepKind.FINAL, speaker.closed[0].end
        if speaker.open is None:
            return None
        if speaker.silence is not None:
            known = speaker.ready == speaker.silence
            return None if known else (StepKind.SPECULATIVE, speaker.silence)
        clock = self._clock(speaker)
        wanted = max(CHUNK_S, self._cadence)
        if clock - speaker.stepped >= wanted - 1e-9:
            return StepKind.PARTIAL, clock
        # The cadence may shrink meanwhile.
        later = min(speaker.stepped + wanted, self.now + LOOK_AGAIN_S)
        wake = self._heard(speaker, max(speaker.stepped + CHUNK_S, later))
        if wake != speaker.wake:
            speaker.wake = wake
            self._at(wake, lambda: self._look(speaker) if speaker.wake == wake else None)
        return None

    def _look(self, speaker: Speaker) -> None:
        if speaker.flying or self.now < speaker.back:
            return
        due = self._due(speaker)
        if due is None:
            speaker.due_since = None
            if speaker.copy is not None:
                speaker.copy.due.pop(speaker, None)
            return
        if speaker.due_since is None:
            speaker.due_since = self.now
        copy = self._place(speaker)
        if copy is not None:
            copy.due[speaker] = due
            self._ask(copy)

    def _place(self, speaker: Speaker) -> Served | None:
        if speaker.copy is None:
            able = [c for c in self._copies if c.trusted and not c.draining]
            if not able:
                return None
            speaker.copy = min(able, key=lambda copy: copy.segments)
            speaker.copy.segments += 1
        return speaker.copy

    def _ask(self, copy: Served) -> None:
        """Steps are taken behind all that happens at the same time."""
        if not copy.asked:
            copy.asked = True
            self._at(self.now, lambda: self._dispatch(copy), last=True)

    def _dispatch(self, copy: Served) -> None:
        copy.asked = False
        while copy.alive and copy.due and len(copy.flights) < self._model.lanes:
            still = {s: due for s in copy.due if (due := self._due(s)) is not None}
            copy.due = still
            chosen = sorted(still, key=lambda s: (still[s][0].value, s.stepped))
            if chosen:
                self._take(copy, chosen[: self._model.max_batch])

    def _take(self, copy: Served, chosen: list[Speaker]) -> None:
        taken, work = [], []
        for speaker in chosen:
            kind, end = copy.due.pop(speaker)
            segment = speaker.closed[0] if speaker.closed else speaker.open
            assert segment is not None
            speaker.flying = True
            speaker.turn += 1
            taken.append(Taken(speaker, speaker.turn, kind, segment, end))
            final = kind is not StepKind.PARTIAL
            work.append(Work(end - segment.start, final, speaker.cold))
            self.outcome.steps[kind] += 1
        copy.flights.append(Flight(taken, work, self.now, self.now))
        self.outcome.batches += 1
        self._plan(copy)

    def _plan(self, copy: Served) -> None:
        """Works out anew when each batch of a copy ends, as there are more or fewer of them."""
        beside = len(copy.flights) - 1
        for flight in copy.flights:
            if flight.takes:
                flight.done += (self.now - flight.looked) / flight.takes
            flight.looked = self.now
            flight.takes = self._model.seconds(flight.work, beside)
            ends = self.now + max(0.0, 1 - flight.done) * flight.takes
            if ends != flight.ends:
                flight.ends = ends
                self._at(ends, partial(self._done, copy, flight, ends))

    def _done(self, copy: Served, flight: Flight, at: float) -> None:
        if flight.ends != at or flight not in copy.flights:
            return
        copy.flights.remove(flight)
        self._plan(copy)
        seconds = self.now - flight.began
        self.outcome.busy_s += seconds
        steps = len(flight.taken)
        copy.pacing.observe(seconds, steps)
        self.outcome.needed_s += copy.pacing.needed_s(seconds, steps, self._model.max_batch)
        if self._pacing is not None:
            alive = sum(each.alive for each in self._copies)
            self._pacing.observe(seconds / (alive * self._model.lanes), steps)
        for taken in flight.taken:
            if taken.speaker.turn == taken.turn:
                self._commit(taken)
        if copy.due:
            self._ask(copy)

    def _commit(self, taken: Taken) -> None:
        speaker, _, kind, segment, end = taken
        speaker.flying, speaker.cold = False, False
        if speaker.closed and speaker.closed[0] is segment:
            if segment.end == end:
                self._say_final(speaker, segment)
        elif speaker.open is segment:
            if kind is StepKind.SPECULATIVE and speaker.silence == end:
                speaker.ready = end
            if kind is StepKind.PARTIAL or speaker.ready == end:
                self._say_partial(speaker, end)
            speaker.stepped = max(speaker.stepped, end)
        speaker.due_since = None
        self._look(speaker)

    # Failures

    def _die(self, copy: Served) -> None:
        copy.alive = False
        copy.flights.clear()

    def _live(self, copy: Served) -> None:
        copy.alive = copy.trusted = True
        for speaker in self._speakers:
            if speaker.copy is None:
                self._look(speaker)

    def _end(self, copy: Served) -> None:
        self._die(copy)
        self._move(copy)

    def _move(self, copy: Served) -> None:
        """Its segments go on elsewhere, from the gateway's own audio."""
        copy.trusted = False
        mine = [speaker for speaker in self._speakers if speaker.copy is copy]
        copy.due.clear()
        copy.segments = 0
        for speaker in mine:
            speaker.copy, speaker.cold, speaker.flying = None, True, False
            speaker.turn += 1
            self.outcome.moved += 1
            self._look(speaker)

    def _cut(self, share: float, backoff_s: float, per_s: float) -> None:
        lost = [speaker for speaker in self._speakers if self._rng.random() < share]
        waits = np.sort(self._rng.uniform(0.0, backoff_s, len(lost)))
        for rank, (speaker, wait) in enumerate(zip(lost, waits, strict=True)):
            speaker.back = self.now + max(float(wait), (rank + 1) / per_s)
            if speaker.copy is not None:
                speaker.copy.due.pop(speaker, None)
                speaker.copy.segments -= 1
            speaker.copy, speaker.cold, speaker.flying = None, True, False
            speaker.turn += 1
            if speaker.open is not None:
                speaker.stepped = speaker.open.start
            self._at(speaker.back, partial(self._look, speaker))
