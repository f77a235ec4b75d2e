"""Real speech that the embedded model's wheel ships."""

import importlib.util
import wave
from pathlib import Path


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
