"""Where a session's audio is cut into segments: by silence, by length, by the client. Pure.

The cuts depend on the audio alone, not on when it arrived or when steps were taken.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.checkpoint import Checkpoint, OpenSegment
from engine.endpoint import HYSTERESIS, Endpointer
from engine.messages import Pcm
from engine.pcm import PcmBuffer, quietest_point
from engine.segment import Segment, StreamOptions
from engine.transcript import CloseReason, SpeechEnded, SpeechStarted, UtteranceEnded
from engine.vad import FRAME, VadState

SPECULATE_AFTER = 4 * FRAME
"""Silence after which a final is begun; also the silence that a segment keeps at its end.

128 ms. The word error rate of the shipped recordings is the same from 128 to 224 ms, and grows
below (0.083 → 0.25 at 96 ms on one of them); a tenth more finals are begun in vain than at 224.
"""
FRAMES_AT_ONCE = 8
"""Frames of one stream in a pass of the detector: more would let a fast sender delay the others."""

NOTHING: Pcm = np.empty(0, np.int16)


@dataclass(frozen=True, slots=True)
class Mark:
    """A close that the client asked for, at the audio it had sent by then."""

    at: int
    reason: CloseReason
    id: str | None = None


class Segmenter:
    """Owns the audio and the open segment; closed ones gather in `closed` for the owner."""

    def __init__(self, options: StreamOptions, start: int = 0) -> None:
        self.options = options
        self.pcm = PcmBuffer(start)
        self.vad = VadState()
        self.open: Segment | None = None
        self.closed: list[Segment] = []
        self.events: list[SpeechStarted | SpeechEnded | UtteranceEnded] = []
        self.ended = False
        """A stop or drain was reached: nothing follows."""
        self._broken_off = False
        """A drain was reached where no segment was open."""
        self.segments = 0
        """How many were begun."""
        self.finalizes = 0
        """How many were reached."""
        self._ear = Endpointer(options.vad_threshold, clock=start)
        self._marks: deque[Mark] = deque()
        self._floor = start
        """No segment begins before: the end of the last one."""
        self._rested_from: int | None = None
        """Where the silence began for which the ear went to rest; None: it never did."""
        self._utterance_end: int | None = None
        """Where the last utterance ended that was said to have ended."""

    @property
    def clock(self) -> int:
        """Samples heard."""
        return self._ear.clock

    @property
    def pausing(self) -> bool:
        """Whether a final is about to be begun: a partial would be in its way."""
        silence = self._ear.silence
        return self.options.endpoint > 0 and SPECULATE_AFTER // 2 <= silence < SPECULATE_AFTER

    @property
    def quiet_upto(self) -> int:
        """While no segment is open: none will begin before this sample."""
        return max(self._floor, self._ear.quiet_since - self.options.vad_padding)

    def mark(self, reason: CloseReason, id: str | None) -> None:
        """Closes the open segment at the end of the audio received so far.

        A stop or drain is the last: what is marked after it has no effect. A drain is decided by
        whole frames of what came before it, as they will be where the stream goes on; the rest, and
        what is appended behind it, only belongs to the segment that it cuts, if there is one.
        """
        if self.pcm.end < self.clock:
            self._rewind(self.pcm.end)
        at = self.pcm.end
        if reason == "drain":
            heard = self._marks[-1].at if self._marks else self.clock
            at -= (at - heard) % FRAME
        self._marks.append(Mark(at, reason, id))

    @property
    def waiting(self) -> bool:
        """Whether there is a frame to hear, or a mark to reach."""
        return bool(self._marks) or self.pcm.end - self.clock >= FRAME

    def _rewind(self, clock: int) -> None:
        """A checkpoint's audio came only in part: what was known of the rest is forgotten."""
        self._ear, self.vad = Endpointer(self.options.vad_threshold, clock), VadState()
        segment = self.open
        if segment is not None and segment.start < clock:
            segment.speech_end = min(segment.speech_end, clock)
            self._ear.speaking = True
        elif segment is not None:
            self.open, self.segments = None, self.segments - 1

    def checkpoint(self) -> Checkpoint | None:
        """The state now; None: too much is pending, or it is not for who goes on after a drain."""
        ear, segment = self._ear, self.open
        if self._broken_off:
            return None
        if segment is None:
            pending = ear.quiet_since < ear.clock or ear.clock < self._floor
        else:
            # What is behind a cut for length is known from frames that a checkpoint does not hold.
            early = ear.clock - segment.start <= self.options.max_segment // 2
            pending = ear.silence_start is not None or not early
        if pending:
            return None
        return Checkpoint(
            vad=self.vad.tobytes(),
            at=ear.clock,
            start=self.quiet_upto if segment is None else segment.start,
            floor=self._floor,
            speaking=ear.speaking,
            silence_start=ear.silence_start,
            segments=self.segments,
            finalizes=self.finalizes,
            open=None
            if segment is None
            else OpenSegment(segment.start, segment.speech_end, segment.voiced),
        )

    @classmethod
    def resumed(cls, options: StreamOptions, checkpoint: Checkpoint, start: int) -> "Segmenter":
        """Goes on from a checkpoint; its audio will come from ``start`` on."""
        it = cls(options, start)
        it.vad, it._floor = VadState.frombytes(checkpoint.vad), checkpoint.floor
        it.segments, it.finalizes = checkpoint.segments, checkpoint.finalizes
        it._ear = Endpointer(
            options.vad_threshold, checkpoint.at, checkpoint.speaking,
            silence_start=checkpoint.silence_start,
        )  # fmt: skip
        if checkpoint.open is not None:
            it.open = Segment(it.segments, checkpoint.open.start, checkpoint.open.speech_end)
            it.open.voiced = checkpoint.open.voiced
        return it

    @property
    def marked(self) -> bool:
        """Whether `frames` may have more effects than to give frames."""
        return bool(self._marks)

    def frames(self) -> Pcm:
        """The next frames for the detector in one stretch; empty: wait for audio.

        At most `FRAMES_AT_ONCE` of `FRAME` samples, or the one shorter frame before a mark. Marks
        already reached take effect.
        """
        while self._marks and self._marks[0].at == self.clock and not self.ended:
            self._reach(self._marks.popleft())
        clock = self.clock
        limit = self._marks[0].at if self._marks else self.pcm.end
        new = 0 if self.ended else max(0, limit - clock)
        if new >= FRAME or not self._marks:
            new = min(new // FRAME, FRAMES_AT_ONCE) * FRAME
        return self.pcm.read(clock, clock + new) if new else NOTHING

    def hear(self, probabilities: Sequence[float], samples: int) -> None:
        """Takes the detector's verdicts on the ``samples`` samples of `frames`."""
        if samples and samples == len(probabilities) * FRAME and self._go_on(probabilities):
            return
        for probability in probabilities:
            if samples < FRAME or not self._go_on((probability,)):
                self._hear(probability, min(samples, FRAME))
            samples -= FRAME

    def _go_on(self, probabilities: Sequence[float]) -> bool:
        """Hears whole frames that change nothing: speech amid speech, silence amid silence.

        What `_hear` would do, in a fraction of the time; most frames are such.
        """
        ear, segment, heard = self._ear, self.open, len(probabilities) * FRAME
        if ear.speaking:
            if (
                segment is None
                or min(probabilities) < ear.threshold
                or ear.silence_start is not None
                or segment.speculative_end is not None
                or ear.clock + heard - segment.start >= self.options.max_segment
            ):
                return False
            segment.hear_speech(range(ear.clock + FRAME, ear.clock + heard + 1, FRAME), heard)
            ear.clock += heard
            ear.voiced = True
            return True
        if (
            segment is not None
            or max(probabilities) >= ear.threshold - HYSTERESIS
            or self.options.utterance_end
        ):
            return False
        ear.pass_silence(heard)
        return True

    def _hear(self, probability: float, samples: int) -> None:
        ear = self._ear
        was_speaking, start = ear.speaking, ear.clock
        ear.hear(probability, samples)
        if ear.speaking and not was_speaking:
            self._begin(ear.onset, start)
            self.events.append(SpeechStarted(ear.onset, self.segments))
        elif ear.speaking and ear.voiced and self.open is None:
            self._begin(start, start)  # speech goes on behind a cut
        if self.open is not None:
            self.open.hear(ear.clock, ear.voiced, samples)
        self._watch_silence()
        self._watch_utterance()
        if self.open is not None and ear.clock - self.open.start >= self.options.max_segment:
            self._rotate(self.open)

    def _begin(self, onset: int, heard: int) -> None:
        """Opens a segment whose speech began at ``onset`` and was heard up to ``heard``."""
        start = max(self._floor, onset - self.options.vad_padding, self.pcm.start)
        self.segments += 1
        self.open = Segment(index=self.segments, start=start, speech_end=onset)
        self.open.hear(heard, True, heard - onset)

    def _watch_silence(self) -> None:
        ear, segment, endpoint = self._ear, self.open, self.options.endpoint
        if not ear.speaking:
            return
        if ear.silence == 0 and segment is not None:
            segment.speculative_end = segment.speculation = None
        if ear.silence == 0 or endpoint == 0:
            return
        long_enough = ear.silence >= min(SPECULATE_AFTER, endpoint)
        if long_enough and segment is not None and segment.speculative_end is None:
            segment.speculative_end = ear.clock
        if ear.silence >= endpoint:
            self._rest()
            if segment is not None:
                self._close(segment, segment.speculative_end or ear.clock, "endpoint")

    def _watch_utterance(self) -> None:
        ear, wanted = self._ear, self.options.utterance_end
        since = ear.silence_start if ear.speaking else self._rested_from
        if not wanted or since is None or since == self._utterance_end:
            return
        if ear.quiet_since - since >= wanted:
            self._utterance_end = since
            self.events.append(UtteranceEnded(since))

    def _rotate(self, segment: Segment) -> None:
        window = self.options.cut_window
        cut = self.clock - window + quietest_point(self.pcm.read(self.clock - window, self.clock))
        rest = segment.split(cut)
        self._close(segment, cut, "length")
        if rest is not None:
            self.open, self.segments = rest, rest.index

    def _reach(self, mark: Mark) -> None:
        segment = self.open
        if mark.reason == "drain":
            self._ear.clock = self.pcm.end
        self._rest()
        if segment is not None:
            longest = segment.start + self.options.max_segment
            end = segment.speculative_end or min(self.clock, longest)
            self._close(segment, end, mark.reason, mark.id)
        elif mark.reason == "finalize":
            self._close(self._silent(), self.clock, mark.reason, mark.id)
        self._floor = max(self._floor, self.clock)
        self.finalizes += mark.reason == "finalize"
        self.ended = mark.reason in ("stop", "drain")
        # That something was cut here, only the final of a cut segment tells the client.
        self._broken_off = mark.reason == "drain" and segment is None

    def _silent(self) -> Segment:
        """What a `finalize` without speech closes: all since the last segment."""
        self.segments += 1
        return Segment(index=self.segments, start=self._floor, speech_end=self._floor)

    def _rest(self) -> None:
        ear = self._ear
        if ear.speaking:
            quiet_from = ear.clock if ear.silence_start is None else ear.silence_start
            self.events.append(SpeechEnded(quiet_from, self.segments))
            self._rested_from = quiet_from
        ear.rest()

    def _close(
        self, segment: Segment, end: int, reason: CloseReason, id: str | None = None
    ) -> None:
        if segment.speculative_end != end:
            segment.speculation = None
        segment.end, segment.reason, segment.finalize_id = end, reason, id
        del segment.frames[:]
        self.open, self._floor = None, end
        self.closed.append(segment)
