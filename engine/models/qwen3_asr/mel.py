"""Log-mel spectra that grow with the audio, equal to those of the whole clip at each moment.

transformers' feature extractor looks at a whole clip: it mirrors the audio at both ends, and floors
all frames at eight decades below the loudest. So a frame is *settled* only when all samples under
its window are there, and what is kept of it is not floored: the floor rises with the loudest frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Qwen3ASRFeatureExtractor

from engine.messages import Audio

WINDOW_FRAMES = 800
"""Mel frames, 8 s, within which the encoder attends."""
SECOND_FRAMES = 100
"""Frames that the encoder's convolutions see together; padded to a multiple of it."""
TOKENS_PER_SECOND = 13
_DECADES = 8.0


@dataclass(slots=True)
class MelState:
    """What is known of one segment's spectra."""

    settled: Tensor
    """Un-floored log-mel frames, shape ``(frames, mels)`` float32."""
    loudest: Tensor
    """The largest value of them, shape ``()``."""


@dataclass(frozen=True, slots=True)
class Spectra:
    """One clip's log-mel frames as they are now."""

    frames: Tensor
    """Un-floored, shape ``(frames, mels)`` float32: settled ones, and behind them the others."""
    floor: float
    """What the extractor would raise smaller values to."""

    @property
    def windows(self) -> int:
        """Complete ones and the open one."""
        return -(-len(self.frames) // WINDOW_FRAMES)

    def frames_of(self, window: int) -> int:
        """How many frames a window has."""
        return min(WINDOW_FRAMES, len(self.frames) - window * WINDOW_FRAMES)

    def seconds_of(self, window: int) -> range:
        """The seconds of a window; the last may be a part of one."""
        first = window * WINDOW_FRAMES // SECOND_FRAMES
        return range(first, first - (-self.frames_of(window) // SECOND_FRAMES))

    def second(self, second: int) -> Tensor:
        """A second's frames as the encoder takes them, shape ``(mels, frames ≤ 100)``."""
        return (self._unfloored(second).clamp(min=self.floor).T + 4.0) / 4.0

    def minimum(self, second: int) -> Tensor:
        """The smallest un-floored value of a second, shape ``()``."""
        return self._unfloored(second).min()

    def _unfloored(self, second: int) -> Tensor:
        return self.frames[second * SECOND_FRAMES : (second + 1) * SECOND_FRAMES]


class LogMel:
    """The extractor's arithmetic for many clips at a time, on any device."""

    def __init__(self, extractor: Qwen3ASRFeatureExtractor, device: torch.device) -> None:
        self._fft, self._hop = extractor.n_fft, extractor.hop_length
        self._shortest = extractor.min_length
        self._hann = torch.hann_window(self._fft, device=device)
        self._filters = torch.from_numpy(extractor.mel_filters).to(device, torch.float32)
        self._device = device

    @property
    def mels(self) -> int:
        """Bins of a frame."""
        return self._filters.shape[1]

    def new_state(self) -> MelState:
        """Of a segment of which nothing was heard."""
        return MelState(
            torch.empty(0, self.mels, device=self._device),
            torch.tensor(-torch.inf, device=self._device),
        )

    def advance(self, clips: Sequence[Audio], states: Sequence[MelState]) -> list[Spectra]:
        """Spectra of clips that are those of the last time and more.

        Args:
            clips: shape ``(n,)`` each, float32, 16 kHz.
            states: of the same segments; brought up to date.
        """
        parts, known = [], []
        for clip, state in zip(clips, states, strict=True):
            self._take_back(state, self._settled(len(clip)))
            frames = max(len(clip), self._shortest) // self._hop
            known.append(min(len(state.settled), frames - 1))  # so that there is one to compute
            parts.append(self._samples_behind(clip, known[-1]))
        new = self._spectra(parts)
        found = []
        for clip, state, before, frames in zip(clips, states, known, new, strict=True):
            everything = torch.cat((state.settled[:before], frames))
            found.append((everything, torch.maximum(state.loudest, frames.max())))
            settled = min(self._settled(len(clip)), len(everything))
            fresh = everything[len(state.settled) : settled]
            if len(fresh):
                state.loudest = torch.maximum(state.loudest, fresh.max())
            state.settled = everything[:settled]
        floors = torch.stack([loudest for _, loudest in found]).tolist()  # one transfer for all
        return [
            Spectra(frames, loudest - _DECADES)
            for (frames, _), loudest in zip(found, floors, strict=True)
        ]

    def _settled(self, samples: int) -> int:
        """How many frames of a clip have all samples under them."""
        if samples < self._shortest:
            return 0
        return int((samples - self._fft // 2) // self._hop + 1)

    def _take_back(self, state: MelState, settled: int) -> None:
        """A final may end before the audio of the last partial did."""
        if len(state.settled) > settled:
            state.settled = state.settled[:settled]
            state.loudest = state.settled.max() if settled else self.new_state().loudest

    def _samples_behind(self, clip: Audio, frame: int) -> Tensor:
        """The samples under all frames from ``frame`` on, mirrored where the clip ends."""
        if len(clip) < self._shortest:
            clip = np.pad(clip, (0, self._shortest - len(clip)))
        half = self._fft // 2
        start = frame * self._hop - half
        left = max(0, -start)
        part = torch.from_numpy(clip[max(0, start) :].copy())  # torch wants to be able to write
        padded = F.pad(part[None], (left, half), mode="reflect")[0]
        # One frame for each whole hop of the clip: the extractor drops the one at its very end.
        count = len(clip) // self._hop - frame
        return padded[: (count - 1) * self._hop + self._fft]

    def _spectra(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """Un-floored log-mel frames of each part, shapes ``(frames, mels)``."""
        counts = [(len(part) - self._fft) // self._hop + 1 for part in parts]
        batch = torch.zeros(len(parts), max(len(part) for part in parts))
        for row, part in zip(batch, parts, strict=True):
            row[: len(part)] = part
        spectrum = torch.stft(
            batch.to(self._device, non_blocking=True),
            self._fft,
            self._hop,
            window=self._hann,
            center=False,
            return_complex=True,
        )
        power = spectrum.abs() ** 2
        mel = (power.transpose(1, 2) @ self._filters).clamp(min=1e-10).log10()
        return [row[:count] for row, count in zip(mel, counts, strict=True)]


def encoder_tokens(frames: int) -> int:
    """Encoder outputs for so many mel frames: 13 a second, three halvings of what is over."""
    rest = frames % SECOND_FRAMES
    for _ in range(3):
        rest = (rest + 1) // 2
    return frames // SECOND_FRAMES * TOKENS_PER_SECOND + rest
