"""Wire bytes and uploaded files to what the engine hears: mono, 16 kHz."""

from io import BytesIO
from os import PathLike
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from engine.messages import S16, SAMPLE_RATE, Audio, Pcm, as_audio
from gateway.errors import InvalidAudio
from gateway.resampling import Resampler
from gateway.wire.options import Encoding

CLIPPED_FRAMES = 8
"""Consecutive full-scale frames that count as clipping: fewer are loud, but plausible, peaks."""

FILE_FORMATS = "wav, flac, ogg or mp3"
MIN_FILE_RATE = 4000
MAX_FILE_RATE = 384_000
MAX_FILE_CHANNELS = 8
_FILE_BLOCK_FRAMES = 65_536
_NOTHING: Pcm = np.empty(0, np.int16)
_S16LE = np.dtype("<i2")
_ONE_IN_EACH_RUN = slice(2 * CLIPPED_FRAMES - 1, None, 2 * CLIPPED_FRAMES)
"""High bytes of 16-bit samples, one of any `CLIPPED_FRAMES` in a row."""
_SAMPLE_BYTES = {"pcm_s16le": 2, "pcm_f32le": 4, "mulaw": 1, "alaw": 1}


def mulaw_table() -> NDArray[np.int16]:
    """The value of each µ-law byte (ITU-T G.711, table 2), shape ``(256,)``, in 1/32768."""
    code = ~np.arange(256) & 0xFF  # transmitted inverted
    exponent, mantissa = (code >> 4) & 7, code & 0xF
    magnitude = (((mantissa << 3) + 132) << exponent) - 132
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def alaw_table() -> NDArray[np.int16]:
    """The value of each A-law byte (ITU-T G.711, table 1), shape ``(256,)``, in 1/32768."""
    code = np.arange(256) ^ 0x55  # even bits transmitted inverted
    exponent, mantissa = (code >> 4) & 7, code & 0xF
    linear = (mantissa << 4) + 8
    magnitude = np.where(exponent == 0, linear, (linear + 256) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


_TABLES = {"mulaw": mulaw_table, "alaw": alaw_table}


def frame_bytes(encoding: Encoding, channels: int) -> int:
    """Bytes of one sample of all channels."""
    return _SAMPLE_BYTES[encoding] * channels


class PcmDecoder:
    """One stream of audio from a client, in messages of any size.

    How it is cut into messages changes nothing: the concatenated output is the same, bit for bit.

    Args:
        encoding: of the samples; channels are interleaved.
        sample_rate: the client's, in Hz.
        channels: 1 or 2; two are mixed down by their mean.
    """

    def __init__(self, encoding: Encoding, sample_rate: int, channels: int) -> None:
        assert channels in (1, 2)
        self.encoding = encoding
        self.sample_rate = sample_rate
        self.channels = channels
        self.frame_bytes = frame_bytes(encoding, channels)
        self.samples_in = 0
        """Frames received, at the client's rate."""
        self.samples_out = 0
        """Samples given out, at 16 kHz."""
        self._table = _TABLES[encoding]() if encoding in _TABLES else None
        self._full_scale = self._most()
        self._resampler = Resampler(sample_rate) if sample_rate != SAMPLE_RATE else None
        self._full_frames = 0
        self._clipped = False
        self._flushed = False

    def check(self, data: bytes) -> None:
        """Whether `decode` would take ``data``; for a large message that is decoded in parts.

        Raises:
            InvalidAudio: half a frame, or samples that are not finite.
        """
        if len(data) % self.frame_bytes:
            raise InvalidAudio(
                f"{self.encoding} audio of {self.channels} channel(s) must come in whole frames of "
                f"{self.frame_bytes} bytes, got {len(data)} bytes; none of them were used."
            )
        if self.encoding == "pcm_f32le" and not np.isfinite(np.frombuffer(data, "<f4")).all():
            raise InvalidAudio("pcm_f32le samples must be finite; none of them were used.")

    def decode(self, data: bytes) -> Pcm:
        """The 16 kHz samples that ``data`` completes, shape ``(n,)``; the resampler lags a little.

        16-bit samples if they come so, and are neither resampled nor mixed: then perhaps a view of
        ``data``. Else, if there are any, float32.

        Raises:
            InvalidAudio: half a frame, or samples that are not finite. Nothing was consumed.
        """
        assert not self._flushed
        self.check(data)
        if not data:
            return _NOTHING
        samples = self._samples(data)
        if not self._is_surely_unclipped(data, samples):
            self._watch_level(samples)
        if self.channels != 1:
            samples = _mean_of_two(as_audio(samples))
        self.samples_in += len(samples)
        if self._resampler:
            samples = self._resampler.resample(as_audio(samples))
        return self._given_out(samples)

    def settle(self) -> Pcm:
        """What the resampler still holds, shape ``(n,)``; more may be decoded behind it."""
        return self._given_out(self._resampler.settle() if self._resampler else _NOTHING)

    def flush(self) -> Pcm:
        """What the resampler still held, shape ``(n,)``. The stream is over: no more `decode`."""
        if self._flushed:
            return _NOTHING
        self._flushed = True
        return self._given_out(self._resampler.flush() if self._resampler else _NOTHING)

    def to_client_samples(self, samples_16k: int) -> int:
        """The client's sample at or before a sample at 16 kHz, both counted from the first."""
        return samples_16k * self.sample_rate // SAMPLE_RATE

    def take_clipped(self) -> bool:
        """Whether clipping was heard since the last call.

        That is `CLIPPED_FRAMES` or more consecutive frames in which a channel is at full scale,
        also across messages.
        """
        clipped, self._clipped = self._clipped, False
        return clipped

    def _most(self) -> float:
        """Full scale, in the units of `_samples`: the most that the encoding can say. G.711's
        largest values are below 1."""
        if self._table is not None:
            return int(self._table.max())
        return 32_767 if self.encoding == "pcm_s16le" else 32_767 * float(S16)

    def _samples(self, data: bytes) -> Pcm:
        """Interleaved samples, shape ``(frames * channels,)``."""
        if self.encoding == "pcm_s16le":
            received = np.frombuffer(data, _S16LE)
            return received if _S16LE.isnative else received.astype(np.int16)
        if self.encoding == "pcm_f32le":
            clipped: Audio = np.clip(np.frombuffer(data, "<f4"), np.float32(-1), np.float32(1))
            return clipped
        assert self._table is not None
        return self._table[np.frombuffer(data, np.uint8)]

    def _is_surely_unclipped(self, data: bytes, samples: Pcm) -> bool:
        """Whether clipping neither is in a message, nor goes on in it, nor may begin at its end.

        Nearly always so, and asked of each message: of one channel of 16-bit samples only the high
        bytes of every eighth and of the last are looked at, as a run of `CLIPPED_FRAMES` passes one
        of these. Numpy, which looks at all samples of others, takes ten times as long to begin.
        """
        if self._full_frames:
            return False
        if self.encoding == "pcm_s16le" and self.channels == 1:
            high = data[_ONE_IN_EACH_RUN] + data[-1:]
            return 0x7F not in high and 0x80 not in high
        full = self._full_scale
        return bool(np.maximum.reduce(samples) < full and np.minimum.reduce(samples) > -full)

    def _watch_level(self, samples: Pcm) -> None:
        frames = np.abs(samples, dtype=np.float32).reshape(-1, self.channels)
        below = np.flatnonzero((frames < self._full_scale).all(axis=1))
        # The run that the last message ended with goes on, so it starts before this one.
        bounds = np.concatenate(([-1 - self._full_frames], below, [len(frames)]))
        runs = np.diff(bounds) - 1
        if runs[0] == self._full_frames:
            runs[0] = 0  # it ended with that message, and was told of then
        self._clipped |= bool(runs.max() >= CLIPPED_FRAMES)
        self._full_frames = min(int(runs[-1]), CLIPPED_FRAMES)

    def _given_out(self, samples: Pcm) -> Pcm:
        self.samples_out += len(samples)
        return samples


def decode_file(source: str | PathLike[str] | bytes, *, max_duration_s: int | None = None) -> Audio:
    """A whole file (a path, or its bytes) as 16 kHz mono samples, shape ``(n,)``.

    Read in blocks, so neither a length claimed in a header nor a file that expands beyond
    ``max_duration_s`` takes memory.

    Raises:
        InvalidAudio: empty, not audio of a known format, damaged, or too long.
        OSError: the path cannot be opened.
    """
    if isinstance(source, bytes):
        return _decode_stream(BytesIO(source), max_duration_s)
    with open(source, "rb") as stream:
        return _decode_stream(stream, max_duration_s)


def _decode_stream(stream: BinaryIO, max_duration_s: int | None) -> Audio:
    if not stream.read(1):
        raise InvalidAudio("The file is empty: send audio.")
    stream.seek(0)
    try:
        with soundfile.SoundFile(stream) as file:
            blocks = _decode_blocks(file, max_duration_s)
    # TypeError: a path named .raw, for which soundfile wants to be told the format.
    except (soundfile.SoundFileError, TypeError):
        raise InvalidAudio(f"The file is not audio, or damaged: send {FILE_FORMATS}.") from None
    audio = np.concatenate(blocks)
    if not len(audio):
        raise InvalidAudio("The file holds no samples: send audio.")
    return audio


def _decode_blocks(file: Any, max_duration_s: int | None) -> list[Audio]:
    rate: int = file.samplerate
    # Far outside these, resampling itself would make a small file huge.
    if not MIN_FILE_RATE <= rate <= MAX_FILE_RATE:
        raise InvalidAudio(
            f"The file's sample rate must be from {MIN_FILE_RATE} to {MAX_FILE_RATE} Hz."
        )
    if file.channels > MAX_FILE_CHANNELS:
        raise InvalidAudio(f"The file may have at most {MAX_FILE_CHANNELS} channels.")
    resampler = Resampler(rate)
    blocks = []
    frames = 0
    while len(block := file.read(_FILE_BLOCK_FRAMES, dtype="float32", always_2d=True)):
        frames += len(block)
        if max_duration_s is not None and frames > max_duration_s * rate:
            raise InvalidAudio(f"The file is too long: send at most {max_duration_s} seconds.")
        if not np.isfinite(block).all():
            raise InvalidAudio("The file's samples must be finite numbers.")
        mono = block.mean(axis=1, dtype=np.float32)
        blocks.append(resampler.resample(np.clip(mono, -1, 1, out=mono)))
    return [*blocks, resampler.flush()]


def _mean_of_two(interleaved: Audio) -> Audio:
    mono = interleaved[0::2] + interleaved[1::2]
    mono *= np.float32(0.5)
    return mono
