"""Wire audio to the engine's: exact values, independence of how it is cut, and refusals."""

import io
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from engine.messages import Audio, as_audio
from gateway.audio import (
    CLIPPED_FRAMES,
    MAX_FILE_RATE,
    PcmDecoder,
    alaw_table,
    decode_file,
    mulaw_table,
)
from gateway.errors import InvalidAudio
from gateway.wire.options import Encoding

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    # Gone in Python 3.13, where the comparison with it is skipped.
    try:
        import audioop
    except ImportError:
        audioop = None  # type: ignore[assignment]

ENCODINGS: list[Encoding] = ["pcm_s16le", "pcm_f32le", "mulaw", "alaw"]
RATES = [8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000]

encodings = st.sampled_from(ENCODINGS)
rates = st.sampled_from(RATES) | st.integers(8000, 96_000)


def s16(*samples: int) -> bytes:
    return np.array(samples, "<i2").tobytes()


def f32(*samples: float) -> bytes:
    return np.array(samples, "<f4").tobytes()


def noise(encoding: Encoding, frames: int, channels: int, seed: int) -> bytes:
    """Random audio, loud enough that a resampler overshoots."""
    random = np.random.default_rng(seed)
    if encoding == "pcm_f32le":
        return random.uniform(-1.2, 1.2, frames * channels).astype("<f4").tobytes()
    return random.bytes(frames * channels * (2 if encoding == "pcm_s16le" else 1))


def tone(rate: int, seconds: float, hertz: float = 440) -> Audio:
    times = np.arange(round(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def whole(decoder: PcmDecoder, *messages: bytes) -> Audio:
    """All that comes of the messages, as a model hears it."""
    given = [*(decoder.decode(each) for each in messages), decoder.flush()]
    return np.concatenate([as_audio(each) for each in given])


# Values


def test_16_bit_samples_stay_so_and_are_fractions_of_full_scale() -> None:
    samples = PcmDecoder("pcm_s16le", 16_000, 1).decode(s16(0, 16_384, -32_768, 32_767))

    assert samples.dtype == np.int16
    assert as_audio(samples).dtype == np.float32
    assert as_audio(samples).tolist() == [0, 0.5, -1, 32_767 / 32_768]


@pytest.mark.parametrize(
    ("encoding", "rate", "channels"),
    [
        ("pcm_f32le", 16_000, 1),
        ("pcm_s16le", 48_000, 1),
        ("pcm_s16le", 16_000, 2),
        ("alaw", 8000, 1),
    ],
)
def test_what_has_no_16_bits_or_is_resampled_or_mixed_becomes_float32(
    encoding: Encoding, rate: int, channels: int
) -> None:
    assert PcmDecoder(encoding, rate, channels).decode(bytes(64)).dtype == np.float32


def test_float_samples_are_clipped_to_full_scale() -> None:
    samples = PcmDecoder("pcm_f32le", 16_000, 1).decode(f32(0.25, 3, -1e30, -1))

    assert samples.tolist() == [0.25, 1, -1, -1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_float_samples_must_be_finite(bad: float) -> None:
    decoder = PcmDecoder("pcm_f32le", 16_000, 1)

    with pytest.raises(InvalidAudio, match="must be finite"):
        decoder.decode(f32(0, bad))

    assert decoder.samples_in == 0
    assert decoder.decode(f32(0.5)).tolist() == [0.5]


def test_stereo_is_mixed_down_by_the_mean() -> None:
    decoder = PcmDecoder("pcm_s16le", 16_000, 2)

    assert decoder.decode(s16(16_384, 0, -16_384, -16_384)).tolist() == [0.25, -0.5]
    assert decoder.samples_in == 2


def test_samples_given_out_are_the_callers_own() -> None:
    samples = PcmDecoder("pcm_f32le", 16_000, 1).decode(f32(0.5))

    samples[0] = 0  # a view of the message would be read-only


# G.711


@pytest.mark.skipif(audioop is None, reason="audioop left the standard library")
@pytest.mark.parametrize("law", ["mulaw", "alaw"])
def test_g711_tables_are_those_of_the_standard_library(law: str) -> None:
    to_linear, table = {
        "mulaw": (audioop.ulaw2lin, mulaw_table()),
        "alaw": (audioop.alaw2lin, alaw_table()),
    }[law]

    expected = np.frombuffer(to_linear(bytes(range(256)), 2), np.int16)

    assert_array_equal(table, expected)


@pytest.mark.parametrize(
    ("table", "positive", "negative"),
    [
        # G.711 tables 1a/1b and 2a/2b: first, second and last decision values' outputs, 16-bit.
        (mulaw_table(), {0xFF: 0, 0xFE: 8, 0x80: 32_124}, {0x7F: 0, 0x7E: -8, 0x00: -32_124}),
        (alaw_table(), {0xD5: 8, 0xD4: 24, 0xAA: 32_256}, {0x55: -8, 0x54: -24, 0x2A: -32_256}),
    ],
    ids=["mulaw", "alaw"],
)
def test_g711_character_signals(
    table: NDArray[np.int16], positive: dict[int, int], negative: dict[int, int]
) -> None:
    for code, value in {**positive, **negative}.items():
        assert table[code] == value


@pytest.mark.parametrize("table", [mulaw_table(), alaw_table()], ids=["mulaw", "alaw"])
def test_g711_is_symmetric_and_monotonic_in_size(table: NDArray[np.int16]) -> None:
    assert_array_equal(table[:128], -table[128:])
    assert len(np.unique(np.abs(table))) == 128


@given(data=st.binary(min_size=1), encoding=st.sampled_from(["mulaw", "alaw"]))
def test_companded_bytes_are_looked_up_one_by_one(data: bytes, encoding: Encoding) -> None:
    table = mulaw_table() if encoding == "mulaw" else alaw_table()

    samples = PcmDecoder(encoding, 16_000, 1).decode(data)

    assert samples.tolist() == [table[byte] for byte in data]


# Frames


@pytest.mark.parametrize(
    ("encoding", "channels", "frame_bytes"),
    [
        ("pcm_s16le", 1, 2),
        ("pcm_s16le", 2, 4),
        ("pcm_f32le", 1, 4),
        ("pcm_f32le", 2, 8),
        ("mulaw", 2, 2),
        ("alaw", 2, 2),
    ],
)
def test_half_a_frame_is_refused_and_nothing_of_it_used(
    encoding: Encoding, channels: int, frame_bytes: int
) -> None:
    decoder = PcmDecoder(encoding, 16_000, channels)

    with pytest.raises(InvalidAudio, match=f"whole frames of {frame_bytes} bytes") as refusal:
        decoder.decode(bytes(frame_bytes * 10 + 1))

    assert refusal.value.recoverable
    assert decoder.samples_in == decoder.samples_out == 0
    assert len(decoder.decode(bytes(frame_bytes * 10))) == 10


@pytest.mark.parametrize("rate", [8000, 16_000])
def test_no_data_gives_no_audio(rate: int) -> None:
    decoder = PcmDecoder("pcm_s16le", rate, 1)

    assert len(decoder.decode(b"")) == 0
    assert len(decoder.flush()) == 0
    assert decoder.samples_in == decoder.samples_out == 0


@given(data=st.binary(), encoding=encodings, channels=st.integers(1, 2), rate=rates)
def test_arbitrary_bytes_give_audio_in_range_or_are_refused(
    data: bytes, encoding: Encoding, channels: int, rate: int
) -> None:
    decoder = PcmDecoder(encoding, rate, channels)
    try:
        samples = whole(decoder, data)
    except InvalidAudio:
        samples = as_audio(decoder.flush())
        assert decoder.samples_in == len(samples) == 0

    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert np.abs(samples).max(initial=0) <= 1


# Resampling


@given(
    encoding=encodings,
    rate=rates,
    channels=st.integers(1, 2),
    frames=st.integers(1, 6000),
    cuts=st.lists(st.integers(0, 6000), max_size=8),
    seed=st.integers(0, 1000),
)
def test_how_audio_is_cut_into_messages_changes_nothing(
    encoding: Encoding, rate: int, channels: int, frames: int, cuts: list[int], seed: int
) -> None:
    data = noise(encoding, frames, channels, seed)
    at_once, in_pieces = (PcmDecoder(encoding, rate, channels) for _ in range(2))
    bounds = sorted({0, frames, *(cut for cut in cuts if cut < frames)})
    width = at_once.frame_bytes
    pieces = [data[start * width : end * width] for start, end in pairwise(bounds)]

    expected = whole(at_once, data)

    assert_array_equal(whole(in_pieces, *pieces), expected)
    assert np.abs(expected).max(initial=0) <= 1
    for decoder in (at_once, in_pieces):
        assert decoder.samples_in == frames
        assert decoder.samples_out == len(expected)


@given(rate=rates, frames=st.integers(1, 20_000))
def test_after_the_flush_the_length_is_that_of_the_input(rate: int, frames: int) -> None:
    decoder = PcmDecoder("mulaw", rate, 1)

    samples = whole(decoder, bytes(frames))

    assert abs(len(samples) - frames * 16_000 / rate) <= 1


@pytest.mark.parametrize("rate", RATES)
def test_a_tone_stays_the_tone_it_was(rate: int) -> None:
    samples = whole(PcmDecoder("pcm_f32le", rate, 1), tone(rate, 1).astype("<f4").tobytes())

    middle = slice(1000, -1000)  # a tone that starts at once is not band-limited there
    error = samples[middle] - tone(16_000, 1)[: len(samples)][middle]

    assert np.abs(error).max() < 1e-4


def test_what_16_khz_cannot_hold_does_not_fold_back() -> None:
    samples = whole(PcmDecoder("pcm_f32le", 48_000, 1), tone(48_000, 1, hertz=12_000).tobytes())

    assert np.abs(samples[1000:-1000]).max() < 1e-4


def test_the_resampler_holds_back_only_a_few_milliseconds() -> None:
    for rate in RATES:
        decoder = PcmDecoder("pcm_s16le", rate, 1)
        decoder.decode(bytes(2 * rate))
        assert 16_000 - decoder.samples_out < 16_000 * 0.1


def test_a_flushed_decoder_has_nothing_more_to_give() -> None:
    decoder = PcmDecoder("pcm_s16le", 8000, 1)
    whole(decoder, bytes(1600))

    assert len(decoder.flush()) == 0


# Clocks


@given(rate=rates, samples=st.integers(0, 2**50))
def test_the_clients_sample_is_the_last_not_after_ours(rate: int, samples: int) -> None:
    client = PcmDecoder("mulaw", rate, 1).to_client_samples(samples)

    assert client * 16_000 <= samples * rate < (client + 1) * 16_000


# Clipping


FULL_SCALE: list[tuple[Encoding, bytes, bytes]] = [
    ("pcm_s16le", s16(32_767), s16(32_766)),
    ("pcm_s16le", s16(-32_768), s16(-32_766)),
    ("pcm_f32le", f32(1.0), f32(0.99)),
    ("pcm_f32le", f32(-7), f32(-0.99)),
    ("mulaw", b"\x80", b"\x81"),
    ("mulaw", b"\x00", b"\x01"),
    ("alaw", b"\xaa", b"\xab"),
    ("alaw", b"\x2a", b"\x2b"),
]


@pytest.mark.parametrize(("encoding", "full", "below"), FULL_SCALE)
def test_a_run_of_full_scale_frames_is_clipping(
    encoding: Encoding, full: bytes, below: bytes
) -> None:
    decoder = PcmDecoder(encoding, 16_000, 1)

    decoder.decode(below * 100)
    decoder.decode(full * (CLIPPED_FRAMES - 1) + below + full * (CLIPPED_FRAMES - 1))
    assert not decoder.take_clipped()

    decoder.decode(full)  # goes on where the last message ended
    assert decoder.take_clipped()
    assert not decoder.take_clipped()


def test_a_quiet_message_ends_a_run() -> None:
    decoder = PcmDecoder("pcm_s16le", 16_000, 1)

    decoder.decode(s16(32_767) * (CLIPPED_FRAMES - 1))
    decoder.decode(s16(0))
    decoder.decode(s16(32_767))

    assert not decoder.take_clipped()


def test_one_channel_suffices_to_clip() -> None:
    decoder = PcmDecoder("pcm_s16le", 8000, 2)

    decoder.decode(s16(0, 32_767) * CLIPPED_FRAMES)

    assert decoder.take_clipped()


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=20), max_size=6))
def test_clipping_is_the_longest_run_across_messages(messages: list[list[bool]]) -> None:
    decoder = PcmDecoder("pcm_s16le", 16_000, 1)
    for message in messages:
        decoder.decode(s16(*(32_767 if full else 0 for full in message)))
    runs = "".join("x" if full else " " for message in messages for full in message).split()

    assert decoder.take_clipped() == any(len(run) >= CLIPPED_FRAMES for run in runs)


@given(st.lists(st.lists(st.sampled_from([0, 32_766, 32_767, -32_767, -32_768]), max_size=20)))
def test_clipping_is_told_with_each_message_that_has_a_part_of_it(
    messages: list[list[int]],
) -> None:
    """From the frame on with which a run is long enough, up to its end, and not again behind it."""
    decoder = PcmDecoder("pcm_s16le", 16_000, 1)
    run = 0
    for message in messages:
        decoder.decode(s16(*message))
        lengths = [run := (run + 1 if abs(sample) >= 32_767 else 0) for sample in message]
        assert decoder.take_clipped() == any(length >= CLIPPED_FRAMES for length in lengths)


# Files


def file_bytes(samples: Any, rate: int, format: str, subtype: str | None = None) -> bytes:
    target = io.BytesIO()
    soundfile.write(target, samples, rate, format=format, subtype=subtype)
    return target.getvalue()


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_files_become_mono_at_16_khz(format: str, rate: int) -> None:
    stereo = np.stack([tone(rate, 1), np.zeros(rate, np.float32)], axis=1)

    samples = decode_file(file_bytes(stereo, rate, format))

    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert abs(len(samples) - 16_000) < 1600  # lossy codecs pad
    assert 0.2 < np.abs(samples).max() < 0.3  # the mean of the tone and of silence


def test_a_file_may_be_given_by_path(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    path.write_bytes(file_bytes(tone(16_000, 0.1), 16_000, "WAV", "FLOAT"))

    assert_array_equal(decode_file(path), tone(16_000, 0.1))
    assert_array_equal(decode_file(str(path)), tone(16_000, 0.1))


def test_a_long_file_is_resampled_without_seams() -> None:
    samples = decode_file(file_bytes(tone(48_000, 5), 48_000, "WAV", "FLOAT"))

    assert np.abs(samples[1000:-1000] - tone(16_000, 5)[1000:-1000]).max() < 1e-4


def test_float_files_are_clipped_to_full_scale() -> None:
    loud = np.array([2, -2, 0.5] * 10, np.float32)

    samples = decode_file(file_bytes(loud, 16_000, "WAV", "FLOAT"))

    assert samples.tolist() == [1, -1, 0.5] * 10


def broken_files() -> Iterator[tuple[str, bytes, str]]:
    nan = np.array([0, np.nan], np.float32)
    yield "empty", b"", "is empty"
    yield "garbage", b"not audio at all" * 100, "not audio, or damaged"
    yield "header only", file_bytes(tone(16_000, 1), 16_000, "WAV")[:20], "not audio, or damaged"
    yield "no samples", file_bytes(np.empty(0), 16_000, "WAV"), "no samples"
    yield "not finite", file_bytes(nan, 16_000, "WAV", "FLOAT"), "finite"
    yield "slow", file_bytes(tone(8000, 1), 100, "WAV"), "sample rate must be"
    yield "wide", file_bytes(np.zeros((10, 9)), 16_000, "WAV"), "at most 8 channels"
    yield "fast", file_bytes(tone(8000, 1), MAX_FILE_RATE + 1, "WAV"), "sample rate must be"


@pytest.mark.parametrize(
    ("data", "words"),
    [pytest.param(data, words, id=name) for name, data, words in broken_files()],
)
def test_a_file_that_is_no_audio_is_refused_in_plain_words(data: bytes, words: str) -> None:
    with pytest.raises(InvalidAudio, match=words) as refusal:
        decode_file(data)

    assert refusal.value.message.endswith(".")


def test_a_file_of_unknown_make_is_refused_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "audio.raw"
    path.write_bytes(bytes(100))

    with pytest.raises(InvalidAudio, match="not audio"):
        decode_file(path)


def test_a_path_that_is_not_there_is_the_callers_to_explain(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        decode_file(tmp_path / "none.wav")


def test_a_file_may_not_expand_beyond_the_longest_duration() -> None:
    silence = file_bytes(np.zeros(16_000 * 60), 16_000, "FLAC")

    assert len(decode_file(silence, max_duration_s=60)) == 16_000 * 60
    with pytest.raises(InvalidAudio, match="at most 59 seconds"):
        decode_file(silence, max_duration_s=59)


@given(st.data())
def test_a_damaged_file_gives_audio_or_a_refusal(data: st.DataObject) -> None:
    whole_file = bytearray(file_bytes(tone(16_000, 0.05), 16_000, data.draw(formats)))
    for position in data.draw(st.lists(st.integers(0, len(whole_file) - 1), max_size=6)):
        whole_file[position] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(whole_file)))

    try:
        samples = decode_file(bytes(whole_file[:end]), max_duration_s=60)
    except InvalidAudio:
        return

    assert np.abs(samples).max() <= 1


formats = st.sampled_from(["WAV", "FLAC", "OGG", "MP3"])
