"""The kinds of sessions that a load is made of, from what the user asked for."""

from dataclasses import replace
from pathlib import Path

from gateway.bench.plan import Kind, Track, read_track
from gateway.bench.protocols import PROTOCOLS
from gateway.bench.wish import Wish
from gateway.bench.words import read_words, shipped

FORM = "PROTOCOL[,audio=FILE][,language=CODE][,weight=N][,words=FILE][,reference=FILE]"
NAMES = ("audio", "language", "weight", "words", "reference")


def kinds_of(wish: Wish) -> tuple[Kind, ...]:
    """Of ``--mix``, or of all protocols with all recordings.

    Raises:
        ValueError, OSError, InvalidAudio: something cannot be read.
    """
    if wish.mix:
        return tuple(read_kind(each) for each in wish.mix)
    for given, name in ((wish.words, "--words"), (wish.references, "--reference")):
        if given and len(given) != len(wish.audio):
            raise ValueError(f"give {name} once for each --audio, or not at all")
    tracks = [
        recording(
            audio,
            wish.words[i] if wish.words else None,
            wish.references[i] if wish.references else None,
        )
        for i, audio in enumerate(wish.audio)
    ]
    return tuple(
        Kind(track, protocol, wish.language) for protocol in wish.protocols for track in tracks
    )


def read_kind(text: str) -> Kind:
    """A kind in the form `FORM`.

    Raises:
        ValueError: it is not that.
        OSError, InvalidAudio: as `recording`.
    """
    protocol, *options = text.split(",")
    given = dict(option.partition("=")[::2] for option in options)
    weight = _weight(given.get("weight", "1"))
    if (
        protocol not in PROTOCOLS
        or not weight
        or not all(name in NAMES and value for name, value in given.items())
    ):
        raise ValueError(
            f"--mix takes {FORM} with a protocol of {', '.join(PROTOCOLS)}; got {text!r}"
        )
    words, reference = (Path(given[name]) if name in given else None for name in NAMES[3:])
    track = recording(given.get("audio", "two_cities"), words, reference)
    return Kind(track, protocol, given.get("language"), weight)


def _weight(text: str) -> float | None:
    """None: it is no weight."""
    try:
        weight = float(text)
    except ValueError:
        return None
    return weight if 0 < weight < float("inf") else None


def recording(audio: str, words: Path | None = None, reference: Path | None = None) -> Track:
    """A file, or one of the recordings that the embedded model's package ships, by its name.

    Raises:
        ValueError: ``words`` holds none, or the package is missing.
        OSError, InvalidAudio: a file cannot be read.
    """
    known = words or shipped(audio)
    track = read_track(
        _file(audio),
        tuple(read_words(known)) if words is not None or known.is_file() else (),
        reference.read_text() if reference else "",
    )
    return replace(track, name=Path(audio).name)


def _file(audio: str) -> Path:
    if not shipped(audio).is_file():
        return Path(audio)
    import importlib.util

    spec = importlib.util.find_spec("moonshine_voice")
    if spec is None or spec.origin is None:
        raise ValueError(f"the recording {audio} is missing; pip install moonshine-voice")
    return Path(spec.origin).parent / "assets" / f"{audio}.wav"
