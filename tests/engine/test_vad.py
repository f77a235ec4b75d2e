"""The real detector on real speech: streams share a batch and nothing else."""

import io
import wave

import numpy as np
import onnxruntime
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.messages import SAMPLE_RATE, Audio, Pcm, as_audio
from engine.vad import FRAME, VadState, VoiceDetector, model_file
from tests.speech import speech

FRAMES = 150


@pytest.fixture(scope="module")
def detector() -> VoiceDetector:
    return VoiceDetector()


@pytest.fixture(scope="module")
def beckett() -> Audio:
    """The first seconds of a reading."""
    with wave.open(io.BytesIO(speech("beckett.wav").read_bytes())) as file:
        rate = file.getframerate()
        pcm = np.frombuffer(file.readframes(rate * 8), np.int16).astype(np.float32) / 32768
    audio: Audio = soxr.resample(pcm, rate, SAMPLE_RATE).astype(np.float32)
    return audio


def cut(audio: Audio) -> list[Audio]:
    return [audio[at : at + FRAME] for at in range(0, len(audio) - FRAME + 1, FRAME)][:FRAMES]


def alone(detector: VoiceDetector, frames: list[Audio]) -> list[float]:
    """One frame at a time, one stream."""
    state = VadState()
    return [detector.listen([frame], [state])[0][0] for frame in frames]


def noise(loudness: float, seed: int = 1) -> Audio:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(FRAMES * FRAME) * loudness).astype(np.float32)


def on_onnxruntime(frames: list[Audio]) -> list[float]:
    """What the package's own file makes of one stream."""
    network = onnxruntime.InferenceSession(str(model_file()), providers=["CPUExecutionProvider"])
    state, context, heard = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32), []
    for frame in frames:
        window = np.concatenate((context, frame))[None]
        out, state = network.run(None, {"input": window, "state": state, "sr": np.array(16_000)})
        context = window[0, -64:]
        heard.append(float(out[0, 0]))
    return heard


@pytest.mark.parametrize(("loudness", "rounding"), [(1.0, 2e-6), (0.02, 2e-5)])
def test_it_hears_what_the_packages_own_network_hears(
    detector: VoiceDetector, beckett: Audio, loudness: float, rounding: float
) -> None:
    """``rounding``: against float64 both are off by half of it; quiet audio cancels out more."""
    frames = cut(beckett * np.float32(loudness))

    assert alone(detector, frames) == pytest.approx(on_onnxruntime(frames), abs=rounding)


def test_speech_is_heard(detector: VoiceDetector, beckett: Audio) -> None:
    found = alone(detector, cut(beckett))

    assert 0.3 < np.mean(np.array(found) > 0.5) < 0.8, "words and pauses"
    assert max(found) > 0.95


@pytest.mark.parametrize(
    "audio",
    [
        np.zeros(FRAMES * FRAME, np.float32),
        np.full(FRAMES * FRAME, 0.25, np.float32),
        noise(1e-4),
        noise(0.02),
        noise(0.3),
        np.sin(np.arange(FRAMES * FRAME) * 2 * np.pi * 50 / SAMPLE_RATE).astype(np.float32) * 0.3,
    ],
    ids=["zeros", "offset", "hiss", "noise", "loud noise", "hum"],
)
def test_what_is_no_speech_is_not_heard(detector: VoiceDetector, audio: Audio) -> None:
    assert max(alone(detector, cut(audio))) < 0.35


def test_a_batch_gives_bit_for_bit_what_each_stream_gives_alone(
    detector: VoiceDetector, beckett: Audio
) -> None:
    streams = [cut(beckett), cut(beckett[::-1].copy()), cut(noise(0.1)), cut(beckett * 0.1)]

    together = detector.listen(
        [np.concatenate(frames) for frames in streams], [VadState() for _ in streams]
    )

    assert together == [alone(detector, frames) for frames in streams]


def test_16_bit_samples_are_heard_as_what_they_are_worth(
    detector: VoiceDetector, beckett: Audio
) -> None:
    kept = (beckett[: 20 * FRAME] * 32_768).astype(np.int16)
    streams: list[Pcm] = [kept, as_audio(kept), kept]

    first, second, third = detector.listen(streams, [VadState() for _ in streams])

    assert max(first) > 0.5
    assert first == second == third


def test_many_streams_with_more_and_fewer_frames_of_either_kind(
    detector: VoiceDetector, beckett: Audio
) -> None:
    kinds = (lambda pcm: pcm, lambda pcm: (pcm * 32_768).astype(np.int16))
    streams: list[Pcm] = [
        kinds[n % 2](beckett[n * 900 : n * 900 + (1 + n * 7 % 9) * FRAME - n * 5])
        for n in range(60)
    ]
    states, others = [VadState() for _ in streams], [VadState() for _ in streams]

    for _ in range(2):
        together = detector.listen(streams, states)
        alone = [
            detector.listen([pcm], [other])[0] for pcm, other in zip(streams, others, strict=True)
        ]

        assert together == alone
        assert [each.tobytes() for each in states] == [each.tobytes() for each in others]


@settings(max_examples=15)
@given(data=st.data())
def test_it_does_not_matter_how_many_frames_are_heard_at_once_nor_beside_whom(
    detector: VoiceDetector, beckett: Audio, data: st.DataObject
) -> None:
    streams = [cut(beckett)[:40], cut(noise(0.2))[:40], cut(beckett[8000:])[:40]]
    states = [VadState() for _ in streams]
    found: list[list[float]] = [[] for _ in streams]
    while any(len(f) < 40 for f in found):
        counts = [data.draw(st.integers(0, min(8, 40 - len(f)))) for f in found]
        rows = [i for i, count in enumerate(counts) if count] or [
            i for i, each in enumerate(found) if len(each) < 40
        ]
        asked = [
            np.concatenate(streams[i][len(found[i]) : len(found[i]) + (counts[i] or 1)])
            for i in rows
        ]
        for i, heard in zip(rows, detector.listen(asked, [states[i] for i in rows]), strict=True):
            found[i] += heard

    assert found == [alone(detector, frames) for frames in streams]


def test_the_state_is_the_streams(detector: VoiceDetector, beckett: Audio) -> None:
    """One stream's speech is not heard by another, and the past is."""
    speaking, silent = VadState(), VadState()
    frames = cut(beckett)
    zeros = np.zeros(len(frames) * FRAME, np.float32)

    _, heard = detector.listen([np.concatenate(frames), zeros], [speaking, silent])

    assert max(heard) < 0.1
    later = [detector.listen([frames[0]], [state]) for state in (speaking, VadState())]
    assert later[0] != later[1]
    assert np.array_equal(speaking.numbers[-64:], frames[0][-64:]), "the next frame's context"


def test_a_short_frame_is_followed_by_silence(detector: VoiceDetector, beckett: Audio) -> None:
    short, padded = VadState(), VadState()
    frame = beckett[16_000:16_300]

    one = detector.listen([frame], [short])
    other = detector.listen([np.pad(frame, (0, FRAME - 300))], [padded])

    assert one == other
    assert np.array_equal(short.numbers, padded.numbers)


def test_nobody_to_listen_to(detector: VoiceDetector) -> None:
    assert detector.listen([], []) == []
