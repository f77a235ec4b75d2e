"""Real speech that the embedded model's wheel ships."""

import importlib.util
import wave
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray


def speech(name: str) -> Path:
    """The path of a recording; the package that holds it is not imported."""
    spec = importlib.util.find_spec("moonshine_voice")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "assets" / name


def pcm16(name: str) -> tuple[bytes, int]:
    """Its samples as pcm_s16le, mono, and their rate in Hz."""
    with wave.open(str(speech(name))) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return file.readframes(file.getnframes()), file.getframerate()


def speech_at(name: str, rate: int) -> NDArray[np.int16]:
    """A recording's samples at another rate."""
    data, own = pcm16(name)
    samples = np.frombuffer(data, "<i2").astype(np.float32) / 32_768
    samples = soxr.resample(samples, own, rate)
    result: NDArray[np.int16] = np.round(np.clip(samples, -1, 1) * 32_767).astype("<i2")
    return result


def g711(samples: NDArray[np.int16], table: NDArray[np.int16]) -> bytes:
    """Samples as the bytes whose values in a decoder's table are nearest."""
    order = np.argsort(table, kind="stable")
    values = table[order].astype(np.int32)
    return (
        order[np.searchsorted((values[1:] + values[:-1]) / 2, samples)].astype(np.uint8).tobytes()
    )
