"""Where live audio comes from: the microphone, standard input, or a recording at its own pace.

Each is an async iterator of pcm_s16le mono frames of about 100 ms.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.messages import SAMPLE_RATE
from gateway.audio import decode_file

FRAMES_A_SECOND = 10
WAITING_FRAMES = 100
"""Ten seconds of frames may wait for a slow network; then the oldest are lost."""


class NoAudioError(Exception):
    """The message is one sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """Live audio: iterate over `frames` once."""

    rate: int
    """Hz."""
    frames: AsyncIterator[bytes]


def level_dbfs(frame: bytes) -> float:
    """Root mean square of a pcm_s16le frame in dB below full scale; -96 for silence."""
    samples = np.frombuffer(frame, "<i2").astype(np.float32) / 32_768
    power = float(np.square(samples).mean()) if len(samples) else 0.0
    return max(-96.0, 10 * float(np.log10(power))) if power > 0 else -96.0


def recording(path: Path) -> Source:
    """An audio file, at the pace it was spoken.

    Raises:
        InvalidAudio, OSError: as `gateway.audio.decode_file`.
    """
    pcm = np.rint(decode_file(path) * 32_767).astype("<i2").tobytes()

    async def frames() -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        began, size = loop.time(), SAMPLE_RATE * 2 // FRAMES_A_SECOND
        for number, at in enumerate(range(0, len(pcm), size), start=1):
            await asyncio.sleep(max(0.0, began + number / FRAMES_A_SECOND - loop.time()))
            yield pcm[at : at + size]

    return Source(SAMPLE_RATE, frames())


def standard_input(rate: int) -> Source:
    """Raw pcm_s16le mono from a pipe, such as ``arecord -f S16_LE -r 16000 -t raw``."""

    async def frames() -> AsyncIterator[bytes]:
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_read_pipe(lambda: protocol, sys.stdin.buffer)
        try:
            size = rate * 2 // FRAMES_A_SECOND
            while frame := await _read_up_to(reader, size):
                yield frame
        finally:
            transport.close()

    return Source(rate, frames())


async def _read_up_to(reader: asyncio.StreamReader, size: int) -> bytes:
    """``size`` bytes, or the whole samples before the end."""
    try:
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError as end:
        return end.partial[: len(end.partial) // 2 * 2]


@contextmanager
def microphone(device: str | None) -> Iterator[Source]:
    """The microphone, opened at its own rate.

    Raises:
        NoAudioError: no library or no device for it.
    """
    try:
        import sounddevice
    except OSError:
        raise NoAudioError(
            "there is no PortAudio library for the microphone: run `make system`, or "
            "`apt-get install libportaudio2`, or pipe audio into `scribewire mic -`"
        ) from None
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[bytes] = asyncio.Queue(WAITING_FRAMES)

    def queue(frame: bytes) -> None:
        if waiting.full():
            waiting.get_nowait()
        waiting.put_nowait(frame)

    def heard(data: Any, count: int, time: Any, status: Any) -> None:
        loop.call_soon_threadsafe(queue, bytes(data))

    async def frames() -> AsyncIterator[bytes]:
        while True:
            yield await waiting.get()

    try:
        rate = int(sounddevice.query_devices(device, "input")["default_samplerate"])
        stream = sounddevice.RawInputStream(
            samplerate=rate, blocksize=rate // FRAMES_A_SECOND, device=device, channels=1,
            dtype="int16", callback=heard,
        )  # fmt: skip
    except (sounddevice.PortAudioError, ValueError) as error:
        raise NoAudioError(
            f"no microphone can be opened ({error}): plug one in, choose one with --device, or "
            "pipe audio into `scribewire mic -`"
        ) from None
    with stream:
        yield Source(rate, frames())
