"""Audio of any rate to the engine's, as it comes."""

from collections import deque
from math import gcd

import numpy as np
import soxr

from engine.messages import SAMPLE_RATE, Audio

_NOTHING = np.empty(0, np.float32)
_QUALITY = "HQ"
_REMEMBERED_S = 0.25
"""More than soxr ever holds back, which is 0.12 s at 8 kHz, and its filter's memory."""


class Resampler:
    """One stream of mono audio to 16 kHz, band-limited, within -1 … 1.

    soxr gives out its samples 6 to 120 ms late, by the rate and by how the stream comes in pieces.
    Where that would matter, `settle` gives out the late ones at once.

    Args:
        rate: of what comes in, in Hz.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._soxr = None
        if rate != SAMPLE_RATE:
            self._soxr = soxr.ResampleStream(
                rate, SAMPLE_RATE, 1, dtype="float32", quality=_QUALITY
            )
        self._grid = rate // gcd(rate, SAMPLE_RATE)
        """Every so many samples one of either rate lies at the same time."""
        self._recent: deque[Audio] = deque()
        self._remembered = self._in = self._out = 0
        self._ahead = 0
        """Samples given out that soxr is still to give."""

    def resample(self, mono: Audio) -> Audio:
        """The 16 kHz samples that ``mono``, shape ``(n,)``, completes."""
        if self._soxr is None:
            return mono
        self._remember(mono)
        return self._given_out(self._soxr.resample_chunk(mono))

    def settle(self) -> Audio:
        """The samples up to the end of what came in; more may come, and is what it would have been.

        What is to come shapes the last few milliseconds of a band-limited signal. Here they are
        computed as if silence followed.
        """
        due = self._in * SAMPLE_RATE / self._rate - self._out
        if self._soxr is None or due < 0.5:
            return _NOTHING
        recent = np.concatenate(self._recent)
        on_grid = -(self._in - len(recent)) % self._grid
        again = soxr.resample(recent[on_grid:], self._rate, SAMPLE_RATE, quality=_QUALITY)
        samples: Audio = again[len(again) - int(due + 0.5) :]
        self._ahead += len(samples)
        self._out += len(samples)
        return np.clip(samples, -1, 1)

    def flush(self) -> Audio:
        """What was held, shape ``(n,)``: the stream is over."""
        if self._soxr is None:
            return _NOTHING
        return self._given_out(self._soxr.resample_chunk(_NOTHING, last=True))

    def _remember(self, mono: Audio) -> None:
        self._in += len(mono)
        self._recent.append(mono)
        self._remembered += len(mono)
        enough = self._rate * _REMEMBERED_S + self._grid
        while self._remembered - len(self._recent[0]) >= enough:
            self._remembered -= len(self._recent.popleft())

    def _given_out(self, samples: Audio) -> Audio:
        known = min(self._ahead, len(samples))
        self._ahead -= known
        self._out += len(samples) - known
        # A band-limited step overshoots; the engine is promised -1 … 1.
        new: Audio = np.clip(samples, -1, 1, out=samples)[known:]
        return new
