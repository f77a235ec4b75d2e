"""A session's recent audio, addressed by its sample offset since the session began."""

import numpy as np

from engine.messages import SAMPLE_RATE, Pcm, as_audio


class PcmBuffer:
    """Contiguous samples from `start` up to `end`; older ones are dropped on request.

    They are 16-bit samples as long as no others come, in half the memory.

    What was written stays where it is: an array that is full, or of too few bits, is left to those
    who read from it, and what is still held moves to another. So `read` need not copy.
    """

    def __init__(self, start: int = 0) -> None:
        self._samples: Pcm = np.empty(SAMPLE_RATE, np.int16)
        self._first = 0
        """Index in the array of the sample at `start`."""
        self.start = self.end = start

    def append(self, pcm: Pcm) -> int:
        """Adds samples, shape ``(n,)``, at `end`; returns how many are held now."""
        if pcm.dtype != self._samples.dtype:
            pcm = self._alike(pcm)
        new, kept = len(pcm), self.end - self.start
        if self._first + kept + new > len(self._samples):
            self._make_room(kept, new)
        at = self._first + kept
        self._samples[at : at + new] = pcm
        self.end += new
        return kept + new

    def _alike(self, pcm: Pcm) -> Pcm:
        """New samples as those that are held, which may become float32 for it."""
        if not len(pcm):
            return self._samples[:0]
        self._samples = as_audio(self._samples)
        return as_audio(pcm)

    def _make_room(self, kept: int, wanted: int) -> None:
        held = self._samples[self._first : self._first + kept]
        # Twice what is needed: moving then costs O(1) a sample.
        self._samples = np.empty(max(SAMPLE_RATE, 2 * (kept + wanted)), held.dtype)
        self._samples[:kept] = held
        self._first = 0

    def read(self, start: int, end: int) -> Pcm:
        """The samples ``start`` … ``end``, shape ``(end - start,)``: a view that never changes."""
        assert self.start <= start <= end <= self.end, (self.start, start, end, self.end)
        offset = self._first - self.start
        samples = self._samples[offset + start : offset + end]
        samples.flags.writeable = False
        return samples

    def drop_before(self, sample: int) -> None:
        """Forgets all samples before ``sample``."""
        sample = min(sample, self.end)
        if sample > self.start:
            self._first += sample - self.start
            self.start = sample

    def clear(self) -> None:
        """Forgets all samples and gives their memory back."""
        self._samples, self._first = np.empty(0, np.int16), 0
        self.start = self.end

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return self._samples.nbytes


def quietest_point(pcm: Pcm, *, hop: int = SAMPLE_RATE // 100, smooth: int = 6) -> int:
    """The middle sample of the quietest ``smooth`` hops of 10 ms in ``pcm``, shape ``(n,)``."""
    hops = len(pcm) // hop
    if hops < smooth:
        return len(pcm)
    energy = np.square(pcm[: hops * hop], dtype=np.float64).reshape(hops, hop).sum(axis=1)
    smoothed = np.convolve(energy, np.ones(smooth), mode="valid")
    return (int(smoothed.argmin()) * 2 + smooth) * hop // 2
