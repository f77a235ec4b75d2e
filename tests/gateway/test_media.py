"""Containers to what the engine hears: by content, in bounded memory, whatever is in them."""

import io
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from engine.messages import Audio
from gateway.audio import decode_file
from gateway.errors import GatewayError, InvalidAudio, TooLarge
from gateway.media import HEAD_BYTES, decode_media, demuxer, gathered
from tests.gateway.test_audio import file_bytes, tone
from tests.media import CODECS, recorded
from tests.speech import speech

SECOND = tone(16_000, 1)


def decoded(data: bytes, **options: Any) -> Audio:
    return np.concatenate(
        list(decode_media(io.BytesIO(data), demuxer(data[:HEAD_BYTES]), **options))
    )


@pytest.mark.parametrize("kind", CODECS)
def test_every_kind_of_file_is_told_by_its_content(kind: str) -> None:
    samples = decoded(recorded(SECOND, kind))

    assert samples.dtype == np.float32
    assert abs(len(samples) - 16_000) < 1600  # lossy codecs pad
    middle = samples[4000:12_000]
    assert 0.9 < np.abs(middle).max() / np.abs(SECOND).max() < 1.1


@pytest.mark.parametrize("name", ["beckett.wav", "two_cities.wav"])
def test_what_has_no_loss_is_bit_for_bit_what_other_readers_give(name: str) -> None:
    data = speech(name).read_bytes()

    assert_array_equal(decoded(data), decode_file(data))


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_samples_of_every_width_in_stereo(subtype: str, rate: int) -> None:
    stereo = np.stack([tone(rate, 0.2), np.zeros(rate // 5)], axis=1)
    data = file_bytes(stereo, rate, "WAV", subtype)

    assert np.abs(decoded(data) - decode_file(data)).max() < 1e-6


def broken_files() -> dict[str, tuple[bytes, str]]:
    nan = np.array([0, np.nan], np.float32)
    return {
        "text": (b"not audio at all" * 100, "not audio"),
        "playlist": (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", "not audio"),
        "concat": (b"ffconcat version 1.0\nfile /etc/passwd\n", "not audio"),
        "one byte": (b"R", "not audio"),
        "wav, header only": (b"RIFF\x00\x00\x00\x00WAVE", "not audio"),
        "wav, no samples": (file_bytes(np.empty(0), 16_000, "WAV"), "no samples"),
        "mp3 in name only": (b"\xff\xfb" + b"hello world" * 100, "not audio"),
        "ogg in name only": (b"OggS" + b"hello world" * 100, "not audio"),
        "flac in name only": (b"fLaC" + bytes(200), "not audio"),
        "webm in name only": (b"\x1a\x45\xdf\xa3" + b"9" * 1000, "not audio"),
        "m4a in name only": (b"\x00\x00\x00\x18ftypM4A " + b"hello world" * 100, "not audio"),
        "not finite": (file_bytes(nan, 16_000, "WAV", "FLOAT"), "finite"),
        "slow": (file_bytes(tone(8000, 1), 100, "WAV"), "sample rate must be"),
        "wide": (file_bytes(np.zeros((10, 9)), 16_000, "WAV"), "at most 8 channels"),
    }


@pytest.mark.parametrize("name", broken_files())
def test_what_is_no_audio_is_refused_in_plain_words(name: str) -> None:
    data, words = broken_files()[name]

    with pytest.raises(InvalidAudio, match=words):
        decoded(data)


@pytest.mark.parametrize("kind", CODECS)
def test_a_file_that_breaks_off_gives_what_there_is(kind: str) -> None:
    if kind == "m4a":  # its table of contents comes last
        with pytest.raises(InvalidAudio):
            decoded(recorded(SECOND, kind)[:-200])
        return
    whole = recorded(np.tile(SECOND, 4), kind, page_ms=100)

    assert 16_000 < len(decoded(whole[: len(whole) * 2 // 3])) < 56_000


def test_a_file_may_not_be_longer_than_allowed() -> None:
    silence = file_bytes(np.zeros(16_000 * 60), 16_000, "FLAC")

    assert len(decoded(silence, max_s=60)) == 16_000 * 60
    with pytest.raises(TooLarge, match="at most 59 seconds"):
        decoded(silence, max_s=59)


@given(st.data())
def test_a_damaged_file_gives_audio_or_a_refusal(data: st.DataObject) -> None:
    whole = bytearray(files[data.draw(st.sampled_from(sorted(files)))])
    for position in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=6)):
        whole[position] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(whole)))

    try:
        samples = decoded(bytes(whole[:end]), max_s=60)
    except GatewayError:
        return

    assert np.isfinite(samples).all()
    assert np.abs(samples).max(initial=0) <= 1


files = {kind: recorded(SECOND[:3200], kind, page_ms=50) for kind in CODECS}


class EndlessFile:
    """A WAV file of so many hours, 4 kHz and 8 bit, made as it is read."""

    def __init__(self, hours: float) -> None:
        self.left = int(hours * 3600 * 4000)
        self._head = file_bytes(np.empty(0), 4000, "WAV", "PCM_U8")[:40] + b"\xff" * 4

    def read(self, size: int) -> bytes:
        if self._head:
            head, self._head = self._head[:size], self._head[size:]
            return head
        size = min(size, self.left)
        self.left -= size
        return b"\x80" * size


def test_hours_need_the_memory_of_seconds() -> None:
    blocks = gathered(decode_media(EndlessFile(hours=2), "wav"), 32_000)
    next(blocks)
    resident = psutil.Process().memory_info().rss

    seconds = 2 + sum(len(block) for block in blocks) / 16_000

    assert seconds == 2 * 3600
    assert psutil.Process().memory_info().rss - resident < 10_000_000


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(1, 40))
def test_blocks_hold_the_same_audio(lengths: list[int], size: int) -> None:
    audio = np.arange(sum(lengths), dtype=np.float32)
    pieces = np.split(audio, np.cumsum(lengths)[:-1]) if lengths else []

    blocks = list(gathered((each for each in pieces), size))

    assert_array_equal(np.concatenate([*blocks, []]), audio)
    assert all(len(block) == size for block in blocks[:-1])
    assert all(0 < len(block) <= size for block in blocks)
