"""What crosses between the worker and a model, wherever the model runs.

The lowest layer: frozen dataclasses and their msgpack form. No torch, no pickle, no I/O.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, NamedTuple, cast

import msgpack
import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Hz, of all audio inside the engine."""

Audio = NDArray[np.float32]
"""Mono samples at `SAMPLE_RATE`, shape ``(n,)``, in -1 … 1."""
Pcm = Audio | NDArray[np.int16]
"""The same as it is kept and sent: audio that came as 16-bit samples stays so, in 1/32768."""
S16 = np.float32(1 / 32_768)
"""A 16-bit sample's unit. To multiply by it is exact."""

StopReason = Literal["eos", "budget", "repetition"]


def ms_to_samples(ms: float) -> int:
    """Milliseconds to samples at `SAMPLE_RATE`."""
    return round(ms * SAMPLE_RATE / 1000)


def as_audio(pcm: Pcm) -> Audio:
    """As float32 samples, shape ``(n,)``; the same array where they are that."""
    if pcm.dtype != np.int16:
        return cast(Audio, pcm)
    audio: Audio = pcm.astype(np.float32)
    audio *= S16  # in place: to cast while multiplying takes twice as long
    return audio


def samples_to_ms(samples: int) -> int:
    """Samples at `SAMPLE_RATE` to whole milliseconds."""
    return round(samples * 1000 / SAMPLE_RATE)


class TimedWord(NamedTuple):
    """A word, without punctuation, and when it is spoken, in ms of the audio that is spoken of."""

    text: str
    start_ms: int
    end_ms: int


class SegmentKey(NamedTuple):
    """Names a segment for ever: ids are never used twice, so a late result finds no new owner."""

    session: str
    segment: int


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model says of itself; filled by the model, read by worker and gateway."""

    name: str
    languages: dict[str, str]
    """Codes to English names, e.g. ``{"en": "English"}``."""
    max_segment_ms: int
    max_batch: int
    """Steps worth taking together."""
    exact_drafts: bool
    """Whether a verified draft gives bit for bit what single-token decoding gives (P4). False for
    models whose arithmetic depends on how many tokens share a pass; their finals use no draft."""
    context: bool
    """Whether ``context`` text has an effect."""
    words: bool
    """Whether steps may want the times of their words."""
    least_confidence: float = 0.0
    """Text with less `StepResult.confidence` is not shown; speech always has more."""
    lanes: int = 1
    """Batches that the model takes side by side, each from a thread of its own."""
    tells_progress: bool = False
    """Whether it tells what it has decoded so far of steps with `Step.progress`."""

    def language_code(self, language: str) -> str | None:
        """The code of a language given as code or English name in any case; None: not known."""
        wanted = language.casefold()
        for code, name in self.languages.items():
            if wanted in (code.casefold(), name.casefold()):
                return code
        return None


@dataclass(frozen=True, slots=True)
class Step:
    """One pass over a segment. The model is stateless to its caller: all it needs is here (P3)."""

    key: SegmentKey
    audio: Pcm
    """The segment from its first sample up to the end of this step; float32 for a model."""
    forced: tuple[int, ...] = ()
    """Prefix tokens, taken as they are."""
    draft: tuple[int, ...] = ()
    """Proposed continuation of ``forced``, kept only as far as greedy decoding agrees (P4)."""
    language: str | None = None
    """Code of the forced language; None: the model decides."""
    context: str = ""
    final: bool = False
    words: bool = False
    """Whether the times of the words are wanted; set for ``final`` steps only."""
    progress: bool = False
    """Whether `Progress` is wanted."""
    prefix: str = ""
    """Text that the answer begins with, whatever the model would say."""

    @property
    def samples(self) -> Audio:
        """`audio` as float32; a model's is, and is not copied."""
        return as_audio(self.audio)

    def beginning_with(self, tokens: tuple[int, ...]) -> "Step":
        """The step with at least these tokens forced; forced tokens beyond them stay."""
        if len(self.forced) >= len(tokens):
            return self
        return replace(self, forced=tokens, draft=(*self.forced, *self.draft)[len(tokens) :])


@dataclass(frozen=True, slots=True)
class Progress:
    """What a step in flight has decoded so far. Its result need not begin with it: a repetition
    is cut off."""

    key: SegmentKey
    text: bytes
    """UTF-8, the forced tokens' included; the last character may be unfinished."""
    language: str | None
    confidence: float
    """As in `StepResult`, of the tokens decoded so far."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a model made of a `Step`."""

    tokens: tuple[int, ...]
    """The whole hypothesis, ``forced`` included, without an end token."""
    pieces: tuple[bytes, ...]
    """UTF-8 bytes of each token; their concatenation is the text."""
    stop: StopReason
    language: str | None
    confidence: float
    """Geometric mean probability of the tokens decoded in this step, 0 … 1."""
    accepted: int = 0
    """Draft tokens kept."""
    decode_steps: int = 0
    """Sequential passes of the decoder."""
    encode_s: float = 0.0
    decode_s: float = 0.0
    flops: float = 0.0
    """Floating-point operations, this step's share of its batch; 0: the model does not count."""
    encoder_frames: float = 0.0
    """Mel frames that went through the encoder, shared alike."""
    prefill_tokens: float = 0.0
    """Tokens of the decoder's first pass, shared alike."""
    reused_tokens: float = 0.0
    """Tokens whose keys and values an earlier step had left in the cache, shared alike."""
    evictions: float = 0.0
    """Caches of other segments that were dropped to make room, shared alike."""
    words: tuple[TimedWord, ...] = ()
    """If the step wanted them: times in ms of its audio, within it and in order. Empty if they
    cannot be had, as in a language that no aligner knows."""


_RESULT_FIELDS = tuple(field.name for field in fields(StepResult))


def pack_step(step: Step, audio_from: int) -> dict[str, Any]:
    """The msgpack map of a step that carries only its audio from sample ``audio_from`` on."""
    return describe_step(step, audio_from) | pack_audio(step.audio[audio_from:])


def joined_audio(parts: Sequence[Pcm]) -> Pcm:
    """Parts of several steps' audio, one behind the other, as they travel between processes."""
    if len({part.dtype for part in parts}) > 1:
        parts = [as_audio(part) for part in parts]
    return cast(Pcm, np.concatenate(parts))


def pack_audio(audio: Pcm) -> dict[str, Any]:
    """The msgpack map of audio."""
    return {"audio": audio.tobytes(), "dtype": audio.dtype.str}


def unpack_audio(packed: dict[str, Any]) -> Pcm:
    """Inverse of `pack_audio`."""
    data = packed["audio"]
    return np.frombuffer(data, np.int16) if packed["dtype"] == "<i2" else np.frombuffer(data, "<f4")


def describe_step(step: Step, audio_from: int) -> dict[str, Any]:
    """`pack_step` for audio that travels beside it."""
    return {
        "key": list(step.key),
        "audio_from": audio_from,
        "forced": step.forced,
        "draft": step.draft,
        "language": step.language,
        "context": step.context,
        "final": step.final,
        "words": step.words,
        "progress": step.progress,
        "prefix": step.prefix,
    }


class HeldAudio:
    """What a process has been sent of a segment; grows without being copied each time."""

    def __init__(self) -> None:
        self._samples: Audio = np.empty(0, np.float32)
        self.length = 0

    def whole(self, start: int, new: Pcm) -> Audio:
        """The first ``start`` samples and ``new`` behind them, shape ``(start + len(new),)``.

        The result stays as it is while more is held: no sample is ever sent with another value.
        """
        assert start <= self.length, "audio is missing between what is held and what was sent"
        end = start + len(new)
        if end > len(self._samples):
            room = np.empty(max(2 * end, SAMPLE_RATE), np.float32)
            room[: self.length] = self._samples[: self.length]
            self._samples = room
        # What is held already is read elsewhere meanwhile, and has no other value for a moment.
        known = min(self.length - start, len(new))
        there = self._samples[start + known : end]
        there[:] = new[known:]
        if new.dtype == np.int16:
            there *= S16
        self.length = max(self.length, end)
        return self._samples[:end]


def unpack_step(packed: dict[str, Any], held: HeldAudio, new: Pcm | None = None) -> Step:
    """Inverse of `pack_step`, or of `describe_step` if there is ``new``.

    Args:
        held: of the segment; holds the new audio too from now on.
        new: the step's audio from ``audio_from`` on.
    """
    if new is None:
        new = unpack_audio(packed)
    return Step(
        key=SegmentKey(*packed["key"]),
        audio=held.whole(packed["audio_from"], new),
        forced=tuple(packed["forced"]),
        draft=tuple(packed["draft"]),
        language=packed["language"],
        context=packed["context"],
        final=packed["final"],
        words=packed["words"],
        progress=packed["progress"],
        prefix=packed["prefix"],
    )


def pack_progress(progress: Progress) -> dict[str, Any]:
    """The msgpack map of a progress."""
    return asdict(progress)


def unpack_progress(packed: dict[str, Any]) -> Progress:
    """Inverse of `pack_progress`."""
    return Progress(**packed | {"key": SegmentKey(*packed["key"])})


def pack_result(result: StepResult) -> dict[str, Any]:
    """The msgpack map of a result."""
    # Not `asdict`, which copies every token.
    return {name: getattr(result, name) for name in _RESULT_FIELDS}


def unpack_result(packed: dict[str, Any]) -> StepResult:
    """Inverse of `pack_result`."""
    lists = {
        "tokens": tuple(packed["tokens"]),
        "pieces": tuple(packed["pieces"]),
        "words": tuple(TimedWord(*word) for word in packed["words"]),
    }
    return StepResult(**packed | lists)


def dumps(message: dict[str, Any]) -> bytes:
    """One message as msgpack bytes."""
    packed: bytes = msgpack.packb(message)
    return packed


def loads(data: bytes) -> dict[str, Any]:
    """Inverse of `dumps`.

    Raises:
        ValueError: not one whole msgpack map.
    """
    message = msgpack.unpackb(data)
    if not isinstance(message, dict):
        raise ValueError(f"expected a map, got {type(message).__name__}")
    return message
