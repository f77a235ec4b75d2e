"""Which due segments are stepped next, together, and by which copy of the model."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.messages import SegmentKey, Step
from engine.runner import Runner
from engine.segment import Due
from engine.speech_session import SpeechSession

Item = tuple[SpeechSession, Due]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Steps for one copy of the model."""

    copy: int
    items: list[Item]
    steps: list[Step]
    alone: bool
    """Whether it is one step that failed before: nobody else is taken down with it again."""
    waited_s: list[float]
    """Of each step: since its segment was due."""

    @property
    def background(self) -> bool:
        """Whether its sessions are; live ones and others never share a batch."""
        return self.items[0][0].background


class Batching:
    """Owns the list of sessions to look at, and what each copy of the model is at."""

    def __init__(self, runner: Runner, clock: Callable[[], float] = time.perf_counter) -> None:
        self._runner, self._clock = runner, clock
        self._stirred: dict[SpeechSession, None] = {}
        """Sessions with which something happened since they were last found not to be due."""
        self._unseen: dict[SpeechSession, None] = {}
        """Of these, those that were not looked at since."""
        self._due_since: dict[SpeechSession, float] = {}
        """Sessions that wait for a step, and since when."""
        self._live = 0
        """Sessions that are not in the background."""
        self._busy: Counter[int] = Counter()
        """Batches in flight, by copy."""
        self._background: Counter[int] = Counter()
        """Of these, those of background sessions."""
        self._alone: set[int] = set()
        """Copies that try a step alone."""

    def stir(self, session: SpeechSession) -> None:
        """Something happened with a session: a step may be due."""
        self._stirred[session] = self._unseen[session] = None

    @property
    def depth(self) -> int:
        """Sessions that wait for a step."""
        return len(self._due_since)

    def enter(self, session: SpeechSession) -> None:
        """A new session."""
        self._live += not session.background

    def leave(self, session: SpeechSession) -> None:
        """The session is over."""
        self._live -= not session.background
        for gone in (self._stirred, self._unseen, self._due_since):
            gone.pop(session, None)

    def next(self, cadence: int) -> Batch | None:
        """The most urgent steps that a copy with a free lane can take; `done` gives it back.

        Args:
            cadence: samples between two partial steps of a segment, at least.
        """
        if self._busy.total() >= self._runner.copies * self._runner.info.lanes:
            self._watch(cadence)
            return None
        for copy, items in self._due(cadence).items():
            suspects = [item for item in items if item[1].segment.failures]
            if copy in self._alone or self._busy[copy] >= self._runner.info.lanes:
                continue
            if suspects and self._busy[copy]:
                continue
            live = [item for item in items if not item[0].background]
            if chosen := suspects[:1] or live or self._spare(copy, items):
                size = self._runner.info.max_batch
                return self._taken(copy, chosen[:size], chosen[size:])
        return None

    def _watch(self, cadence: int) -> None:
        """Notes who is due while there is no lane: each session once for each time it stirs."""
        now = self._clock()
        for session in self._unseen:
            if not session.over and session.stream.due(0 if session.background else cadence):
                self._due_since.setdefault(session, now)
        self._unseen.clear()

    def _spare(self, copy: int, background: list[Item]) -> list[Item]:
        """What may be taken when no live session has anything due.

        It never shares a batch with live steps, which would have to wait for its long segments,
        and while there are live sessions it leaves them a lane, where there are several.
        """
        if self._live and self._background[copy] >= max(1, self._runner.info.lanes - 1):
            return []
        return background

    def _due(self, cadence: int) -> dict[int, list[Item]]:
        """All that is due, most urgent first, by the copy whose it is."""
        stirred = (session for session in self._stirred if not session.over)
        due = [
            (session, due)
            for session in stirred
            for due in session.stream.due(0 if session.background else cadence)
        ]
        self._stirred, now = dict.fromkeys(session for session, _ in due), self._clock()
        # Speech that went on makes a final that was due not due again.
        self._due_since = {session: self._due_since.get(session, now) for session in self._stirred}
        self._unseen.clear()
        due.sort(key=lambda item: (item[1].kind.value, -item[1].new))
        found: dict[int, list[Item]] = {}
        for session, each in due:
            copy = self._runner.place(SegmentKey(session.stream.id, each.segment.index))
            found.setdefault(copy, []).append((session, each))
        return found

    def _taken(self, copy: int, items: list[Item], left: Sequence[Item]) -> Batch:
        alone = bool(items[0][1].segment.failures)
        steps = [session.stream.take(due) for session, due in items]
        batch = Batch(copy, items, steps, alone, self._waits(items, left))
        self._busy[copy] += 1
        self._background[copy] += batch.background
        if alone:
            self._alone.add(copy)
        return batch

    def _waits(self, items: list[Item], left: Sequence[Item]) -> list[float]:
        now = self._clock()
        waited = [now - self._due_since[session] for session, _ in items]
        for session in {session for session, _ in items} - {session for session, _ in left}:
            del self._due_since[session]
        return waited

    def done(self, batch: Batch) -> None:
        """A batch came back, or to nothing."""
        self._busy[batch.copy] -= 1
        self._background[batch.copy] -= batch.background
        if batch.alone:
            self._alone.discard(batch.copy)
        for session, _ in batch.items:
            self.stir(session)
