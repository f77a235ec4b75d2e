"""One session's speech: audio in, steps to take, events out. Pure: no clock, no I/O, no model.

The truth of a session lives here (P3): its audio, its segments, what was said of them.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from engine.checkpoint import Checkpoint
from engine.confirmation import Confirmation
from engine.messages import (
    ModelInfo,
    Pcm,
    Progress,
    SegmentKey,
    Step,
    StepResult,
)
from engine.scribe import Scribe
from engine.segment import Due, Segment, StepKind, StreamOptions
from engine.segmenter import Segmenter
from engine.transcript import (
    CloseReason,
    Event,
    Finished,
    SegmentFailed,
)
from engine.vad import FRAME, VadState

MAX_FAILURES = 3


class Stream:
    """Owns one session's segments, from the first sample to the last final.

    ``push`` and ``mark`` take input; ``frames``/``hear`` walk the voice activity detector over it;
    ``due``/``take``/``commit``/``fail`` are the worker's; what is to be said gathers in `events`.
    """

    def __init__(
        self, id: str, options: StreamOptions, model: ModelInfo, cut: Segmenter | None = None
    ) -> None:
        self.id = id
        self._model = model
        self._scribe = Scribe(model)
        self._cut = cut or Segmenter(options)
        self._closed: deque[Segment] = deque()
        """Segments whose finals are still to come, oldest first."""
        self._results: dict[int, StepResult | None] = {}
        """Finals that are ready but whose turn has not come; None: there is no result to have."""
        self._confirmation = Confirmation(self._cut)
        self._said_all = False

    @classmethod
    def resumed(
        cls, id: str, options: StreamOptions, model: ModelInfo, checkpoint: Checkpoint, start: int
    ) -> "Stream":
        """Goes on from another stream's checkpoint.

        Args:
            start: the sample from which on audio will be pushed; at most ``checkpoint.start``.
        """
        assert start <= checkpoint.start
        stream = cls(id, options, model, Segmenter.resumed(options, checkpoint, start))
        stream._scribe.segments, stream._scribe.tail = checkpoint.closed, checkpoint.tail
        return stream

    @property
    def events(self) -> list[Event]:
        """What is to be said."""
        return self._scribe.events

    def take_events(self) -> list[Event]:
        """What is to be said, this once."""
        events, self._scribe.events = self._scribe.events, []
        return events

    def release(self) -> None:
        """The session is over: its audio goes now, and not when Python's collector comes by.

        Who listens to a session is known to it and knows it; such circles may stand for minutes,
        and the collector does not see how much memory hangs on them.
        """
        self._cut.pcm.clear()

    # Input

    def push(self, pcm: Pcm) -> int:
        """Appends audio, shape ``(n,)``; returns what is `unconfirmed` then."""
        return self._cut.pcm.append(pcm)

    def mark(self, reason: CloseReason, id: str | None = None) -> None:
        """Closes the open segment at the end of the audio received so far."""
        self._cut.mark(reason, id)

    @property
    def options(self) -> StreamOptions:
        """In force now."""
        return self._cut.options

    def update(self, options: StreamOptions) -> None:
        """Changes what may change in a running session: language, context, endpoint, partials.

        Language and context hold for segments of which no step was taken yet.
        """
        self._cut.options = replace(
            self.options,
            language=options.language,
            context=options.context,
            endpoint=options.endpoint,
            partials=options.partials,
        )

    @property
    def received(self) -> int:
        """Samples received."""
        return self._cut.pcm.end

    @property
    def vad(self) -> VadState:
        """The state of its detector."""
        return self._cut.vad

    @property
    def unconfirmed(self) -> int:
        """Samples received and still needed: neither in finals nor silence."""
        return self.received - self._cut.pcm.start

    @property
    def finished(self) -> bool:
        """Whether a stop or drain was reached."""
        return self._cut.ended

    @property
    def speaking(self) -> bool:
        """Whether a segment is open that will want partial steps."""
        return self._cut.open is not None and self.options.partials

    @property
    def unfinished(self) -> list[int]:
        """Indices of segments whose finals have not been said."""
        return [s.index for s in (*self._closed, *([self._cut.open] if self._cut.open else []))]

    @property
    def idle(self) -> bool:
        """Whether nothing can happen before more audio comes: all is heard, no step due or out."""
        if self._closed or self.received - self._cut.clock >= FRAME:
            return False
        stepping = self._cut.open is not None and self._cut.open.stepping is not None
        return not stepping and not self.due(0)

    @property
    def nbytes(self) -> int:
        """Bytes of audio held."""
        return self._cut.pcm.nbytes

    # Hearing

    @property
    def waiting(self) -> bool:
        """See `Segmenter.waiting`."""
        return self._cut.waiting

    def frames(self) -> Pcm:
        """See `Segmenter.frames`."""
        marked = self._cut.marked
        frames = self._cut.frames()
        if marked:
            self._collect()
        return frames

    def hear(self, probabilities: Sequence[float], samples: int) -> bool:
        """See `Segmenter.hear`. Whether it is `waiting` already for the next frames to be heard."""
        cut = self._cut
        cut.hear(probabilities, samples)
        # Amid a segment nothing can be confirmed that could not be when it was last looked at.
        amid = cut.open is not None and self._confirmation.taken_before_open
        if not amid or cut.events or cut.closed:
            self._collect()
        return cut.waiting

    def _collect(self) -> None:
        cut = self._cut
        if cut.events:
            self.events.extend(cut.events)
            cut.events.clear()
        closing = bool(cut.closed)
        for segment in cut.closed:
            self._closed.append(segment)
            if segment.speculation is not None or segment.given_up or segment.voiced == 0:
                self._results[segment.index] = segment.speculation
        cut.closed.clear()
        if closing or cut.ended:
            self._settle()
        else:
            self._confirm()

    # Steps

    def due(self, cadence: int) -> list[Due]:
        """Segments that want a step, when no step may come sooner than ``cadence`` new samples."""
        if not self._closed:
            partial = self._due_open(self._cut.open, cadence) if self._cut.open else None
            return [partial] if partial is not None else []
        waiting = [s for s in self._closed if s.index not in self._results]
        finals = [Due(StepKind.FINAL, s, s.end or 0) for s in waiting if s.stepping is None]
        # The finals before a partial go out first, so a partial stepped now could not be shown.
        if finals or waiting or self._cut.open is None:
            return finals
        due = self._due_open(self._cut.open, cadence)
        return [due] if due is not None else []

    def _due_open(self, segment: Segment, cadence: int) -> Due | None:
        if segment.stepping is not None or segment.given_up:
            return None
        options, clock = self._cut.options, self._cut.clock
        new = clock - max(segment.stepped_to, segment.start)
        is_early = new < cadence or new < options.cadence
        # Nearly always the end of it: this is asked for every frame.
        if (is_early and segment.speculative_end is None) or clock > self.received:
            return None
        # A recording is heard on before the step is back: it would nearly always be in vain.
        if segment.speculative_end is not None and not options.background:
            if segment.speculation is not None:
                return None
            return Due(StepKind.SPECULATIVE, segment, segment.speculative_end)
        has_speech = segment.speech_end > segment.stepped_to
        if is_early or not options.partials or not has_speech or self._cut.pausing:
            return None
        return Due(StepKind.PARTIAL, segment, clock)

    def take(self, due: Due) -> Step:
        """The step that is due; the segment gets no other until `commit` or `fail`."""
        segment = due.segment
        assert segment.stepping is None
        segment.stepping = due.kind
        segment.prompt = segment.prompt or (self.options.language, self.options.context)
        language, context = segment.prompt
        whole = due.kind is not StepKind.PARTIAL  # a final rolls everything back (K = all)
        drafting = not whole or self._model.exact_drafts
        return Step(
            key=SegmentKey(self.id, segment.index),
            audio=self._cut.pcm.read(segment.start, due.end),
            forced=() if whole else segment.forced,
            draft=()
            if not drafting
            else segment.forced + segment.draft
            if whole
            else segment.draft,
            language=language,
            context=context,
            final=whole,
            words=whole and self.options.words,
            progress=not whole and self.options.stream_tokens,
            prefix=self.options.prefix if segment.index == 1 else "",
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

    def progress(self, due: Due, so_far: Progress) -> None:
        """What the step in flight has decoded.

        A final's step shows nothing: it decodes again what is already to be read.
        """
        if self._shown(due):
            self._scribe.progress(due, so_far)

    def _show(self, due: Due, result: StepResult) -> None:
        if self._shown(due):
            self._scribe.partial(due, result, self.options)

    def _shown(self, due: Due) -> bool:
        return self.options.partials and due.segment.end is None

    # Saying

    def _settle(self) -> None:
        """Says the finals that are ready, in the order of their segments."""
        while self._closed and self._closed[0].index in self._results:
            segment = self._closed.popleft()
            result = self._results.pop(segment.index)
            self._scribe.final(segment, result, timed=self.options.words)
            self._confirm()
        self._confirm()
        if self.finished and not self._closed and not self._said_all:
            self._said_all = True
            self.events.append(Finished(self.received, self._cut.segments))

    def _confirm(self) -> None:
        """Frees what is not needed any more, and says from where a replay would have to begin."""
        if self._closed:
            upto = self._closed[0].start
        elif self._cut.open is not None:
            upto = self._cut.open.start
        else:
            upto = self._cut.quiet_upto
        self._cut.pcm.drop_before(upto)
        self._confirmation.take()
        self.events.extend(self._confirmation.pass_on(self._scribe.segments, self._scribe.tail))
