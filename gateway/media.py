"""Recordings in containers, as files and as browsers stream them, to what the engine hears.

What is in them is told by their first bytes, never by a name. libav reads them (PyAV); it pulls, so
whoever has bytes to push needs `gateway.stream_decoder`.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from engine.messages import SAMPLE_RATE, Audio
from gateway.audio import (
    MAX_FILE_CHANNELS,
    MAX_FILE_RATE,
    MIN_FILE_RATE,
)
from gateway.errors import InvalidAudio, TooLarge
from gateway.resampling import Resampler

if TYPE_CHECKING:
    import av

MEDIA_FORMATS = "wav, flac, mp3, aac, ogg, webm or m4a"
FRAMES_AT_ONCE = 16
"""Converted together, which costs half: libav's are as short as 256 samples."""
HEAD_BYTES = 12
"""What tells a format."""

_NOT_AUDIO = f"The file is not audio, or damaged: send {MEDIA_FORMATS}."
_PROMPT = {"probesize": "32", "analyzeduration": "0"}
"""libav's options for a stream: give out what is there instead of looking ahead for seconds."""
_FULL_SCALE = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "flt": 1.0, "dbl": 1.0}


class Readable(Protocol):
    """What libav reads from; may have ``seek`` and ``tell``."""

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes, as soon as there are any; none: the end."""
        ...


def demuxer(head: bytes) -> str:
    """libav's name for the container that begins with ``head``, at least `HEAD_BYTES` of it.

    libav itself may not guess: among what it knows are playlists, which name other files to open.

    Raises:
        InvalidAudio: nothing that is known here.
    """
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head[4:8] in (b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide"):
        return "mov"
    for magic, name in (
        (b"fLaC", "flac"), (b"OggS", "ogg"), (b"\x1a\x45\xdf\xa3", "matroska"), (b"ID3", "mp3"),
    ):  # fmt: skip
        if head.startswith(magic):
            return name
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # MPEG's frame sync
        return "aac" if head[1] & 0x06 == 0 else "mp3"
    raise InvalidAudio(_NOT_AUDIO)


def decode_media(
    file: Readable, container: str, *, max_s: float | None = None, prompt: bool = False
) -> Generator[Audio]:
    """The first audio track as 16 kHz mono samples, shape ``(n,)``, packet by packet.

    Blocks while it reads and decodes; may be resumed in another thread each time. Damaged packets
    are left out, as players do. Memory is bounded by what is read at a time, whatever it claims.

    Args:
        container: from `demuxer`.
        max_s: the longest duration.
        prompt: for a stream: samples as soon as their bytes are there.

    Raises:
        InvalidAudio: not audio of a known form, or nothing of it can be decoded.
        TooLarge: it is longer than ``max_s``.
    """
    import av  # loads 60 libraries: only where somebody sends a container

    options = {"enable_drefs": "0"} if container == "mov" else {}  # no other files
    try:
        source: Any = av.open(
            file, "r", format=container, options=options | (_PROMPT if prompt else {}),
            metadata_errors="replace", buffer_size=4096 if prompt else 65_536,
        )  # fmt: skip
        with source:
            yield from _samples(source, max_s, 1 if prompt else FRAMES_AT_ONCE)
    # ValueError: of PyAV, about what it cannot express.
    except (av.FFmpegError, ValueError):
        raise InvalidAudio(_NOT_AUDIO) from None


def _samples(
    source: "av.container.InputContainer", max_s: float | None, at_once: int
) -> Generator[Audio]:
    if not source.streams.audio:
        raise InvalidAudio("The file has no audio track: send one that has.")
    mono = Mono16k(max_s)
    for frames in _alike(_frames(source), at_once):
        yield mono.convert(frames)
    yield mono.flush()
    if not mono.seconds:
        raise InvalidAudio("The file holds no samples: send audio.")


def _frames(source: "av.container.InputContainer") -> Iterator["av.AudioFrame"]:
    import av

    for packet in source.demux(source.streams.audio[0]):
        try:
            yield from packet.decode()
        except av.InvalidDataError:
            continue


def _alike(frames: Iterator["av.AudioFrame"], at_once: int) -> Iterator[list["av.AudioFrame"]]:
    """Runs of at most so many frames of one kind, each as soon as it is whole."""
    run: list[av.AudioFrame] = []
    for frame in frames:
        if run and _kind(run[0]) != _kind(frame):
            yield run
            run = []
        run.append(frame)
        if len(run) == at_once:
            yield run
            run = []
    if run:
        yield run


def _kind(frame: "av.AudioFrame") -> tuple[int, str, int]:
    return frame.sample_rate, frame.format.name, frame.layout.nb_channels


class Mono16k:
    """Decoded frames of any rate, layout and sample format, which may change on the way."""

    def __init__(self, max_s: float | None = None) -> None:
        self._max_s = max_s
        self._earlier_s, self._frames = 0.0, 0
        """Of other rates before; of this one. A sum of seconds would not be exact."""
        self._rate = SAMPLE_RATE
        self._resampler = Resampler(SAMPLE_RATE)

    def convert(self, frames: Sequence["av.AudioFrame"]) -> Audio:
        """The samples that frames of one kind complete, shape ``(n,)``.

        Raises:
            InvalidAudio: a rate, a number of channels or samples that are no sound.
            TooLarge: it is longer than allowed.
        """
        earlier = self._at_rate(frames[0].sample_rate)
        self._frames += sum(frame.samples for frame in frames)
        if self._max_s is not None and self.seconds > self._max_s:
            raise TooLarge(f"The audio is too long: send at most {self._max_s:g} seconds.")
        later = self._resampler.resample(_mixed_down(frames))
        return np.concatenate((earlier, later)) if len(earlier) else later

    @property
    def seconds(self) -> float:
        """Of audio taken."""
        return self._earlier_s + self._frames / self._rate

    def flush(self) -> Audio:
        """What the resampler still held, shape ``(n,)``."""
        return self._resampler.flush()

    def _at_rate(self, rate: int) -> Audio:
        if rate == self._rate:
            return np.empty(0, np.float32)
        # Far outside these, resampling itself would make a small file huge.
        if not MIN_FILE_RATE <= rate <= MAX_FILE_RATE:
            raise InvalidAudio(
                f"The audio's sample rate must be from {MIN_FILE_RATE} to {MAX_FILE_RATE} Hz."
            )
        tail = self.flush()
        self._earlier_s, self._frames = self.seconds, 0
        self._rate, self._resampler = rate, Resampler(rate)
        return tail


def _mixed_down(frames: Sequence["av.AudioFrame"]) -> Audio:
    """The mean of all channels of frames of one kind in -1 … 1, shape ``(samples,)``."""
    first = frames[0]
    channels = first.layout.nb_channels
    if not 1 <= channels <= MAX_FILE_CHANNELS:
        raise InvalidAudio(f"The audio may have at most {MAX_FILE_CHANNELS} channels.")
    kind = first.format.name.removesuffix("p")
    if kind not in _FULL_SCALE:
        raise InvalidAudio(_NOT_AUDIO)
    samples = np.concatenate([frame.to_ndarray() for frame in frames], axis=1, dtype=np.float32)
    by_channel = samples if first.format.is_planar else samples.reshape(-1, channels).T
    mono: Audio = by_channel.mean(axis=0, dtype=np.float32)
    if kind == "u8":
        mono -= np.float32(128)
    mono /= np.float32(_FULL_SCALE[kind])
    if not np.isfinite(mono).all():
        raise InvalidAudio("The audio's samples must be finite numbers.")
    return np.clip(mono, np.float32(-1), np.float32(1), out=mono)


def gathered(pieces: Generator[Audio], samples: int) -> Generator[Audio]:
    """The same audio in blocks of ``samples``; the last may be shorter. Closes ``pieces``."""
    held: list[Audio] = []
    count = 0
    with closing(pieces):
        for piece in pieces:
            held.append(piece)
            count += len(piece)
            while count >= samples:
                whole = np.concatenate(held)
                yield whole[:samples]
                held, count = [whole[samples:]], count - samples
        if count:
            yield np.concatenate(held)
