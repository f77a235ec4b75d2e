"""Audio that grows, as embeddings for the decoder; only what is new or changed is computed.

What is kept of a segment, and why it may be:

- un-floored log-mel frames, once all samples under them are there (`mel`);
- what the convolutions found of each complete second of the open window: they see no further;
- embeddings of complete 8 s windows: the encoder never attends across them.

The last two hold as long as the floor, which follows the loudest frame, changes nothing in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import Qwen3ASRFeatureExtractor, Qwen3ASRForConditionalGeneration

from engine.messages import Audio
from engine.models.qwen3_asr.cost import CostMeter
from engine.models.qwen3_asr.encoder import Encoded, Encoder
from engine.models.qwen3_asr.mel import SECOND_FRAMES, WINDOW_FRAMES, LogMel, MelState, Spectra

WINDOW_SECONDS = WINDOW_FRAMES // SECOND_FRAMES


@dataclass(slots=True)
class Heard:
    """What is kept of one segment's audio."""

    mel: MelState
    seconds: dict[int, Encoded] = field(default_factory=dict)
    """Of the open window, by their number in the segment."""
    windows: list[Encoded] = field(default_factory=list)
    """The complete ones."""

    def take_back(self) -> None:
        """Drops what the spectrum no longer has: a final may end before the last partial did."""
        settled = len(self.mel.settled)
        del self.windows[settled // WINDOW_FRAMES :]
        for second in [at for at in self.seconds if (at + 1) * SECOND_FRAMES > settled]:
            del self.seconds[second]


@dataclass(frozen=True, slots=True)
class Renewed:
    """What a step must read again."""

    first: int
    """The first complete window whose embeddings are new."""
    open: list[Tensor]
    """The open window's embeddings, shape ``(tokens, decoder width)``; none between windows."""


class Hearing:
    """Spectra and encoder for many segments at a time."""

    def __init__(
        self,
        model: Qwen3ASRForConditionalGeneration,
        extractor: Qwen3ASRFeatureExtractor,
        meter: CostMeter,
        *,
        keep: bool = True,
    ) -> None:
        """
        Args:
            keep: anything of the encoder's between steps.
        """
        device: torch.device = next(iter(model.parameters())).device
        self._mel = LogMel(extractor, device)
        self._encoder = Encoder(model, meter)
        self._meter, self._keep = meter, keep

    def new(self) -> Heard:
        """Of a segment of which nothing was heard."""
        return Heard(self._mel.new_state())

    def advance(self, clips: Sequence[Audio], known: Sequence[Heard]) -> list[Renewed]:
        """Hears clips that are those of the last time and more, or a little less.

        Args:
            clips: shape ``(n,)`` each, float32, 16 kHz.
            known: of the same segments; brought up to date.
        """
        spectra = self._mel.advance(clips, [heard.mel for heard in known])
        stale = [self._stale(*each) for each in zip(known, spectra, strict=True)]
        embeddings = iter(self._encoder.attend(self._fronts(known, spectra, stale)))
        return [
            self._take(heard, sound, {window: next(embeddings) for window in windows})
            for heard, sound, windows in zip(known, spectra, stale, strict=True)
        ]

    def _stale(self, heard: Heard, sound: Spectra) -> list[int]:
        """The windows to encode: complete ones that are new or hold no more, and the open one."""
        if not self._keep:
            heard.windows.clear()
            heard.seconds.clear()
        heard.take_back()
        held = {i for i, window in enumerate(heard.windows) if window.holds_for(sound.floor)}
        stale = [i for i in range(sound.windows) if i not in held]
        self._meter.listened(sum(sound.frames_of(i) for i in stale))
        return stale

    def _fronts(
        self, known: Sequence[Heard], spectra: Sequence[Spectra], stale: Sequence[Sequence[int]]
    ) -> list[list[Tensor]]:
        """What the convolutions find of each second of each stale window."""
        wanted = [
            (heard, sound, second)
            for heard, sound, windows in zip(known, spectra, stale, strict=True)
            for window in windows
            for second in sound.seconds_of(window)
            if second not in heard.seconds or not heard.seconds[second].holds_for(sound.floor)
        ]
        if wanted:
            quietest = torch.stack([sound.minimum(second) for _, sound, second in wanted]).tolist()
            states = self._encoder.convolve([sound.second(second) for _, sound, second in wanted])
            for (heard, sound, second), found, least in zip(wanted, states, quietest, strict=True):
                heard.seconds[second] = Encoded(found, sound.floor, least)
        return [
            [heard.seconds[second].states for second in sound.seconds_of(window)]
            for heard, sound, windows in zip(known, spectra, stale, strict=True)
            for window in windows
        ]

    def _take(self, heard: Heard, sound: Spectra, encoded: dict[int, Tensor]) -> Renewed:
        """Puts complete windows where they are kept; what is left is the open one, if any."""
        first = min([len(heard.windows), *encoded])
        settled = len(heard.mel.settled)
        complete = settled // WINDOW_FRAMES
        for i in range(complete):
            if i in encoded:
                quietest = min(heard.seconds[second].quietest for second in sound.seconds_of(i))
                heard.windows[i : i + 1] = [Encoded(encoded.pop(i), sound.floor, quietest)]
        heard.seconds = {
            second: found
            for second, found in heard.seconds.items()
            if second >= complete * WINDOW_SECONDS and (second + 1) * SECOND_FRAMES <= settled
        }
        return Renewed(first, list(encoded.values()))
