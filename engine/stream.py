"""One session's speech: audio in, steps to take, events out. Pure: no clock, no I/O, no model.

The truth of a session lives here (P3). Segments are cut by the audio alone, so finals do not depend
on when audio arrived or when steps were taken; only partials do.
"""

from collections import deque
from dataclasses import dataclass, replace

from engine.endpoint import Endpointer
from engine.guards import low_evidence
from engine.messages import Audio, ModelInfo, SegmentKey, Step, StepResult, ms_to_samples
from engine.pcm import PcmBuffer, quietest_point
from engine.segment import Hypothesis, Segment, StepKind, StreamOptions
from engine.spacing import joiner
from engine.transcript import (
    CloseReason,
    Confirmed,
    Event,
    Final,
    Finished,
    Partial,
    SegmentFailed,
    SpeechEnded,
    SpeechStarted,
    Suppressed,
)
from engine.vad import FRAME, VadState

SPECULATE_AFTER = ms_to_samples(200)
"""Silence after which a final is begun; also the silence that a segment keeps at its end."""
CUT_WINDOW = ms_to_samples(5000)
CONFIRM_EVERY = ms_to_samples(1000)
MAX_FAILURES = 3
FRAMES_AT_ONCE = 8
"""Frames of one stream in a pass of the detector: more would let a fast sender delay the others."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A close that the client asked for, at the audio it had sent by then."""

    at: int
    reason: CloseReason
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """A segment that wants a step now."""

    kind: StepKind
    segment: Segment
    end: int
    """Where the step's audio ends."""

    @property
    def new(self) -> int:
        """Samples that no step has heard yet."""
        return self.end - max(self.segment.stepped_to, self.segment.start)


class Stream:
    """Owns one session's audio and segments.

    ``push`` and ``mark`` take input; ``frames``/``hear`` walk the voice activity detector over it;
    ``due``/``take``/``commit``/``fail`` are the worker's; what is to be said gathers in `events`.
    """

    def __init__(self, id: str, options: StreamOptions, model: ModelInfo) -> None:
        self.id = id
        self.options = options
        self.vad = VadState()
        self.events: list[Event] = []
        self.finished = False
        self._model = model
        self._pcm = PcmBuffer()
        self._ear = Endpointer(options.vad_threshold)
        self._marks: deque[Mark] = deque()
        self._open: Segment | None = None
        self._closed: deque[Segment] = deque()
        """Segments whose finals are still to come, oldest first."""
        self._results: dict[int, StepResult | None] = {}
        """Finals that are ready but whose turn has not come; None: the model failed."""
        self._next_index = 1
        self._floor = 0
        """No segment begins before: the end of the last one."""
        self._confirmed = 0
        self._text_tail = ""
        """The last characters of the transcript so far."""

    # Input

    def push(self, pcm: Audio) -> None:
        """Appends audio, shape ``(n,)``."""
        self._pcm.append(pcm)

    def mark(self, reason: CloseReason, id: str | None = None) -> None:
        """Closes the open segment at the end of the audio received so far."""
        self._marks.append(Mark(self._pcm.end, reason, id))

    @property
    def received(self) -> int:
        """Samples received."""
        return self._pcm.end

    @property
    def unconfirmed(self) -> int:
        """Samples received and not yet confirmed: what a lost connection would have to replay."""
        return self._pcm.end - self._confirmed

    @property
    def speaking(self) -> bool:
        """Whether a segment is open that will want partial steps."""
        return self._open is not None and self.options.partials

    @property
    def unfinished(self) -> list[int]:
        """Indices of segments whose finals have not been said."""
        return [s.index for s in (*self._closed, *([self._open] if self._open else []))]

    @property
    def nbytes(self) -> int:
        """Bytes of audio held."""
        return self._pcm.nbytes

    # Hearing

    def frames(self) -> list[Audio]:
        """The next frames for the detector, at most `FRAMES_AT_ONCE`; empty: wait for audio.

        Only the frame before a mark may be shorter than `FRAME`. Marks already reached take effect.
        """
        clock = self._ear.clock
        while self._marks and self._marks[0].at == clock:
            self._reach_mark(self._marks.popleft())
        limit = self._marks[0].at if self._marks else self._pcm.end
        stop = min(limit, clock + FRAMES_AT_ONCE * FRAME)
        whole = [self._pcm.read(at, at + FRAME) for at in range(clock, stop - FRAME + 1, FRAME)]
        if not whole and self._marks and limit > clock:
            return [self._pcm.read(clock, limit)]
        return whole

    def hear(self, probability: float, samples: int) -> None:
        """Takes the detector's verdict on the next frame of ``samples`` samples from `frames`."""
        ear = self._ear
        was_speaking = ear.speaking
        ear.hear(probability, samples)
        if ear.speaking and not was_speaking:
            self.events.append(SpeechStarted(ear.onset))
            self._open_at(ear.onset, ear.clock - samples)
        elif ear.speaking and ear.voiced and self._open is None:
            self._open_at(ear.clock - samples, ear.clock - samples)  # speech goes on behind a cut
        if self._open is not None:
            self._open.hear(ear.clock, ear.voiced, samples)
        self._watch_silence()
        if self._open is not None and ear.clock - self._open.start >= self.options.max_segment:
            self._rotate()
        self._confirm()

    def _open_at(self, onset: int, heard: int) -> None:
        """Opens a segment whose speech began at ``onset`` and was heard up to ``heard``."""
        start = max(self._floor, onset - self.options.vad_padding, self._pcm.start)
        self._open = Segment(index=self._next_index, start=start, speech_end=onset)
        self._open.hear(heard, True, heard - onset)
        self._next_index += 1

    def _watch_silence(self) -> None:
        ear, segment, endpoint = self._ear, self._open, self.options.endpoint
        if not ear.speaking or endpoint == 0:
            return
        if ear.silence == 0:
            if segment is not None:
                segment.speculative_end = segment.speculation = None
            return
        due = ear.silence >= min(SPECULATE_AFTER, endpoint)
        if due and segment is not None and segment.speculative_end is None:
            segment.speculative_end = ear.clock
        if ear.silence >= endpoint:
            self.events.append(SpeechEnded(ear.silence_start or 0))
            ear.rest()
            if segment is not None:
                self._close(segment, segment.speculative_end or ear.clock, "endpoint")

    def _rotate(self) -> None:
        segment, clock = self._open, self._ear.clock
        assert segment is not None
        window = min(CUT_WINDOW, self.options.max_segment // 4)
        cut = clock - window + quietest_point(self._pcm.read(clock - window, clock))
        rest = segment.split(cut)
        self._close(segment, cut, "length")
        if rest is not None:
            self._open, self._next_index = rest, rest.index + 1

    def _reach_mark(self, mark: Mark) -> None:
        segment, clock = self._open, self._ear.clock
        if segment is not None:
            self._close(segment, segment.speculative_end or clock, mark.reason, mark.id)
        elif mark.reason == "finalize":
            self._close(self._silent_segment(clock), clock, mark.reason, mark.id)
        if self._ear.speaking:
            self.events.append(SpeechEnded(self._ear.silence_start or clock))
        self._ear.rest()
        self._floor = clock
        if mark.reason in ("stop", "drain"):
            self.finished = True
            self._settle()

    def _silent_segment(self, clock: int) -> Segment:
        start = max(self._floor, self._pcm.start)
        segment = Segment(index=self._next_index, start=start, speech_end=start)
        self._next_index += 1
        return segment

    def _close(
        self, segment: Segment, end: int, reason: CloseReason, id: str | None = None
    ) -> None:
        ready = segment.speculation if segment.speculative_end == end else None
        segment.end, segment.reason, segment.finalize_id = end, reason, id
        self._open, self._floor = None, end
        segment.frames.clear()
        self._closed.append(segment)
        if ready is not None or segment.given_up or segment.voiced == 0:
            self._results[segment.index] = ready
        self._settle()

    # Steps

    def due(self, cadence: int) -> list[Due]:
        """Segments that want a step, when no step may come sooner than ``cadence`` new samples."""
        waiting = [s for s in self._closed if s.index not in self._results]
        finals = [Due(StepKind.FINAL, s, s.end or 0) for s in waiting if s.stepping is None]
        # The finals before a partial go out first, so a partial stepped now could not be shown.
        if finals or waiting or self._open is None:
            return finals
        due = self._due_open(self._open, cadence)
        return [due] if due is not None else []

    def _due_open(self, segment: Segment, cadence: int) -> Due | None:
        if segment.stepping is not None or segment.given_up:
            return None
        if segment.speculative_end is not None:
            if segment.speculation is not None:
                return None
            return Due(StepKind.SPECULATIVE, segment, segment.speculative_end)
        new = self._ear.clock - max(segment.stepped_to, segment.start)
        has_speech = segment.speech_end > segment.stepped_to
        if self.options.partials and has_speech and new >= max(cadence, self.options.cadence):
            return Due(StepKind.PARTIAL, segment, self._ear.clock)
        return None

    def take(self, due: Due) -> Step:
        """The step that is due; the segment gets no other until `commit` or `fail`."""
        segment = due.segment
        assert segment.stepping is None
        segment.stepping = due.kind
        whole = due.kind is not StepKind.PARTIAL  # a final rolls everything back (K = all)
        drafting = not whole or self._model.exact_drafts
        return Step(
            key=SegmentKey(self.id, segment.index),
            audio=self._pcm.read(segment.start, due.end),
            forced=() if whole else segment.forced,
            draft=()
            if not drafting
            else segment.forced + segment.draft
            if whole
            else segment.draft,
            language=self.options.language,
            context=self.options.context,
            final=whole,
        )

    def commit(self, due: Due, result: StepResult) -> None:
        """Takes a step's result."""
        segment = due.segment
        segment.stepping, segment.failures = None, 0
        segment.stepped_to = max(segment.stepped_to, due.end)
        if due.kind is StepKind.PARTIAL:
            self._show(due, result)
        elif segment.end is not None:
            if segment.end == due.end:
                self._results[segment.index] = result
        elif segment.speculative_end == due.end:
            segment.speculation = result
            self._show(due, result)
        self._settle()

    def fail(self, due: Due) -> bool:
        """The step came to nothing. True: the segment is given up after three failures in a row."""
        segment = due.segment
        segment.stepping = None
        segment.failures += 1
        if segment.failures < MAX_FAILURES:
            return False
        segment.given_up = True
        self.events.append(SegmentFailed(segment.index))
        if segment.end is not None:
            self._results[segment.index] = None
            self._settle()
        return True

    # Saying

    def _show(self, due: Due, result: StepResult) -> None:
        segment = due.segment
        if segment.end is not None or low_evidence(result, segment.voiced):
            return
        if not segment.believe(result, due.end, self.options):
            return
        if result.stop == "repetition" and not segment.repetition_said:
            segment.repetition_said = True
            self.events.append(Suppressed(segment.index, "repetition", segment.start, due.end))
        if not self.options.partials:
            return
        assert segment.latest is not None
        stable = self._spaced(segment.prefix_text)
        text = self._spaced(segment.latest.text)
        assert text.startswith(stable), "the prefix is forced"
        if not text and not segment.revision:
            return
        segment.revision += 1
        segment.shown = text
        self.events.append(
            Partial(
                segment=segment.index,
                revision=segment.revision,
                stable=stable,
                unstable=text[len(stable) :],
                start=segment.start,
                end=due.end,
                language=result.language,
            )
        )

    def _spaced(self, text: str) -> str:
        return joiner(self._text_tail, text) + text

    def _settle(self) -> None:
        """Says the finals that are ready, in the order of their segments."""
        while self._closed and self._closed[0].index in self._results:
            segment = self._closed.popleft()
            self._say_final(segment, self._results.pop(segment.index))
        self._confirm(at_once=True)
        if self.finished and not self._closed:
            self.events.append(Finished(self._pcm.end, self._next_index - 1))

    def _say_final(self, segment: Segment, result: StepResult | None) -> None:
        assert segment.end is not None
        assert segment.reason is not None
        text = segment.shown
        if segment.voiced == 0:
            self.events.append(Suppressed(segment.index, "silence", segment.start, segment.end))
        elif result is not None:
            text = self._final_text(segment, result)
        stable = self._spaced(segment.prefix_text)
        self._text_tail = (self._text_tail + text)[-8:]
        self.events.append(
            Final(
                segment=segment.index,
                text=text,
                revised=not text.startswith(stable),
                start=segment.start,
                end=segment.end,
                language=result.language if result is not None else None,
                confidence=round(result.confidence, 4) if result is not None else None,
                reason=segment.reason,
                id=segment.finalize_id,
            )
        )

    def _final_text(self, segment: Segment, result: StepResult) -> str:
        assert segment.end is not None
        if low_evidence(result, segment.voiced):
            self.events.append(
                Suppressed(segment.index, "low_evidence", segment.start, segment.end)
            )
            return ""
        if result.stop == "repetition" and not segment.repetition_said:
            self.events.append(Suppressed(segment.index, "repetition", segment.start, segment.end))
        return self._spaced(Hypothesis(result.tokens, result.pieces, segment.end).text)

    def _confirm(self, *, at_once: bool = False) -> None:
        """Moves on what need not be kept for a replay, and frees it."""
        if self._closed:
            upto = self._closed[0].start
        elif self._open is not None:
            upto = self._open.start
        else:
            # An onset reaches back by the padding.
            upto = max(self._floor, self._ear.quiet_since - self.options.vad_padding)
        self._pcm.drop_before(upto)
        step = 1 if at_once else CONFIRM_EVERY
        if upto - self._confirmed >= step:
            self._confirmed = upto
            self.events.append(Confirmed(upto))

    def update(self, options: StreamOptions) -> None:
        """Changes what may change in a running session: language, context, endpoint, partials."""
        self.options = replace(
            self.options,
            language=options.language,
            context=options.context,
            endpoint=options.endpoint,
            partials=options.partials,
        )
