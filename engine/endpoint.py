"""End-of-speech decisions for one stream from its frames' speech probabilities. Pure.

The hysteresis is Silero's own (``utils_vad.py``): speech at ``threshold``, silence 0.15 below.
Everything counts in samples of audio, nothing in wall time, so the same audio is always cut in
the same places however it arrived.
"""

from dataclasses import dataclass

from engine.messages import ms_to_samples

HYSTERESIS = 0.15
ONSET = ms_to_samples(96)
"""Voiced audio that makes an onset: three frames; a click has fewer."""
ONSET_WITHIN = ms_to_samples(320)
"""It must come together in so much audio."""


@dataclass(slots=True)
class Endpointer:
    """Follows one stream. Frames go in by `hear`; the fields say what was heard so far."""

    threshold: float
    clock: int = 0
    """Samples heard."""
    speaking: bool = False
    onset: int = 0
    """Where the current speech began, while `speaking`."""
    silence_start: int | None = None
    """Where the silence after speech began, while `speaking`; None: it has not."""
    voiced: bool = False
    """Whether the last frame was speech."""
    _candidate: int | None = None
    _candidate_voiced: int = 0

    def hear(self, probability: float, samples: int) -> None:
        """Takes in the next frame of ``samples`` samples."""
        start = self.clock
        self.clock += samples
        self.voiced = probability >= self.threshold
        unvoiced = probability < self.threshold - HYSTERESIS
        if self.speaking:
            self._follow_silence(start, unvoiced)
        else:
            self._follow_onset(start, samples, unvoiced)

    def pass_silence(self, samples: int) -> None:
        """`hear` of a frame that is no speech, while not `speaking`."""
        self.clock += samples
        self.voiced, self._candidate = False, None

    def _follow_silence(self, start: int, unvoiced: bool) -> None:
        if self.voiced:
            self.silence_start = None
        elif unvoiced and self.silence_start is None:
            self.silence_start = start

    def _follow_onset(self, start: int, samples: int, unvoiced: bool) -> None:
        if unvoiced or (self._candidate is not None and start - self._candidate >= ONSET_WITHIN):
            self._candidate = None
        if self._candidate is None:
            if not self.voiced:
                return
            self._candidate, self._candidate_voiced = start, 0
        self._candidate_voiced += samples if self.voiced else 0
        if self._candidate_voiced >= ONSET:
            self.speaking, self.onset, self.silence_start = True, self._candidate, None
            self._candidate = None

    @property
    def silence(self) -> int:
        """Samples of silence since speech, while `speaking`."""
        return 0 if self.silence_start is None else self.clock - self.silence_start

    @property
    def quiet_since(self) -> int:
        """No speech that is still to come in a segment begins before this sample."""
        return self.clock if self._candidate is None else self._candidate

    def rest(self) -> None:
        """Forgets the current speech: what follows must begin with an onset."""
        self.speaking, self.silence_start, self._candidate = False, None, None
