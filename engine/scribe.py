"""What is said of segments: partials, finals and what is withheld, as events. Pure."""

from engine.guards import low_evidence
from engine.messages import ModelInfo, Progress, StepResult, TimedWord
from engine.segment import Due, Hypothesis, Segment, StreamOptions
from engine.spacing import decode, joiner
from engine.transcript import Event, Final, Partial, Suppressed


class Scribe:
    """Writes one session's transcript; owns where it has come to."""

    def __init__(self, model: ModelInfo) -> None:
        self.events: list[Event] = []
        """What is to be said; whoever says it takes it out."""
        self.segments = 0
        """Whose finals were written."""
        self.tail = ""
        """The last character of the transcript so far."""
        self._least_confidence = model.least_confidence

    def progress(self, due: Due, so_far: Progress) -> None:
        """Shows what the step in flight has decoded, once that is more than what is shown."""
        segment = due.segment
        if low_evidence(so_far, segment.voiced, self._least_confidence):
            return
        text = self._spaced(decode(so_far.text)[0].lstrip())
        if len(text) > len(segment.shown):
            self._write_partial(due, text, so_far.language)

    def partial(self, due: Due, result: StepResult, options: StreamOptions) -> None:
        """Shows a step's result, if it is to be believed."""
        segment = due.segment
        if low_evidence(result, segment.voiced, self._least_confidence):
            return
        if not segment.believe(result, due.end, options):
            return
        if result.stop == "repetition" and not segment.repetition_said:
            segment.repetition_said = True
            self.events.append(Suppressed(segment.index, "repetition", segment.start, due.end))
        assert segment.latest is not None
        text = self._spaced(segment.latest.text)
        if text or segment.revision:
            self._write_partial(due, text, result.language)

    def _write_partial(self, due: Due, text: str, language: str | None) -> None:
        segment = due.segment
        stable = self._spaced(segment.prefix_text)
        assert text.startswith(stable), "the prefix is forced"
        segment.revision += 1
        segment.shown, segment.shown_stable = text, stable
        self.events.append(
            Partial(
                segment=segment.index,
                revision=segment.revision,
                stable=stable,
                unstable=text[len(stable) :],
                start=segment.start,
                end=due.end,
                language=language,
            )
        )

    def final(self, segment: Segment, result: StepResult | None, *, timed: bool) -> None:
        """Ends a segment.

        Args:
            result: None: there is none to have; what was shown last stands.
            timed: whether the times of the words are wanted.
        """
        assert segment.end is not None
        assert segment.reason is not None
        text = segment.shown
        words: tuple[TimedWord, ...] = ()
        if segment.voiced == 0:
            self.events.append(Suppressed(segment.index, "silence", segment.start, segment.end))
        elif result is not None:
            text = self._final_text(segment, result)
            words = result.words if text else ()
        self.tail = text[-1:] or self.tail
        self.segments = segment.index
        self.events.append(
            Final(
                segment=segment.index,
                text=text,
                revised=not text.startswith(segment.shown_stable),
                start=segment.start,
                end=segment.end,
                language=result.language if result is not None else None,
                confidence=round(result.confidence, 4) if result is not None else None,
                reason=segment.reason,
                id=segment.finalize_id,
                words=segment.timed(words) if timed else None,
            )
        )

    def _final_text(self, segment: Segment, result: StepResult) -> str:
        assert segment.end is not None
        if low_evidence(result, segment.voiced, self._least_confidence):
            self.events.append(
                Suppressed(segment.index, "low_evidence", segment.start, segment.end)
            )
            return ""
        if result.stop == "repetition" and not segment.repetition_said:
            self.events.append(Suppressed(segment.index, "repetition", segment.start, segment.end))
        return self._spaced(Hypothesis(result.tokens, result.pieces, segment.end).text)

    def _spaced(self, text: str) -> str:
        return joiner(self.tail, text) + text
