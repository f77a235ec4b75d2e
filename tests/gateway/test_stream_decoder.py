"""Recordings that arrive in pieces: the same samples, as soon as may be, and never too many."""

import io
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from engine.messages import Audio
from gateway.audio import decode_file
from gateway.errors import GatewayError, InvalidAudio
from gateway.media import HEAD_BYTES, decode_media, demuxer
from gateway.stream_decoder import PIECE, StreamDecoder
from tests.media import recorded
from tests.speech import speech
from tests.waiting import until

BECKETT = decode_file(speech("beckett.wav"))

pytestmark = pytest.mark.timeout(30)


@asynccontextmanager
async def decoding() -> AsyncIterator[StreamDecoder]:
    decoder = StreamDecoder()
    try:
        yield decoder
    finally:
        decoder.close()


async def feed(decoder: StreamDecoder, data: bytes) -> list[Audio]:
    return [piece async for piece in decoder.decode(data)]


class Pipe:
    """What libav cannot seek in."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._file.read(size)


def at_once(data: bytes) -> Audio:
    return np.concatenate(list(decode_media(Pipe(data), demuxer(data[:HEAD_BYTES]))))


@pytest.mark.parametrize("size", [97, 4096, 1 << 20])
@pytest.mark.parametrize("kind", ["webm", "ogg", "wav", "flac", "mp3", "aac"])
async def test_how_a_recording_is_cut_changes_nothing(kind: str, size: int) -> None:
    data = recorded(BECKETT[:48_000], kind, page_ms=100)
    pieces: list[Audio] = []
    async with decoding() as decoder:
        for at in range(0, len(data), size):
            pieces += await feed(decoder, data[at : at + size])
        pieces += [piece async for piece in decoder.flush()]

    assert_array_equal(np.concatenate(pieces), at_once(data))


@pytest.mark.parametrize(("kind", "held_s"), [("webm", 0.5), ("ogg", 0.6)])
async def test_samples_come_while_the_recording_goes_on(kind: str, held_s: float) -> None:
    data = recorded(BECKETT, kind, page_ms=100)
    heard = 0
    async with decoding() as decoder:
        for at in range(0, len(data), 1000):
            heard += sum(map(len, await feed(decoder, data[at : at + 1000])))
            arrived = min(1.0, (at + 1000) / len(data)) * len(BECKETT)
            assert heard >= arrived - held_s * 16_000


async def test_what_a_few_bytes_hold_is_not_decoded_before_it_is_wanted() -> None:
    """A minute of silence is 14 kB of Opus, and 4 MB of samples."""
    data = recorded(np.zeros(60 * 16_000, np.float32), "ogg")
    before = containers()
    async with decoding() as decoder:
        pieces = decoder.decode(data)
        first = await anext(pieces)
        second = await anext(pieces)
        assert decoder._made.qsize() <= 1
        assert max(len(first), len(second)) <= PIECE + 5760
        [thread] = containers() - before
        await pieces.aclose()

    await until(lambda: not thread.is_alive())


@pytest.mark.parametrize(
    "given",
    [b"", b"OggS", recorded(BECKETT[:16_000], "webm")[:900]],
    ids=["nothing", "a signature", "a head"],
)
async def test_a_recording_that_is_left_leaves_no_thread(given: bytes) -> None:
    before = containers()
    async with decoding() as decoder:
        await feed(decoder, given)
        [thread] = containers() - before

    await until(lambda: not thread.is_alive())


def containers() -> set[threading.Thread]:
    """Threads of recordings; those of other tests may end meanwhile."""
    return {thread for thread in threading.enumerate() if thread.name == "container"}


@pytest.mark.parametrize(
    "data",
    [b"garbage" * 10, b"\x1a\x45\xdf\xa3" + b"9" * 200_000],
    ids=["garbage", "garbage behind a signature"],
)
async def test_what_is_no_recording_is_refused(data: bytes) -> None:
    async with decoding() as decoder:
        with pytest.raises(InvalidAudio, match="not audio"):
            await feed(decoder, data)
        with pytest.raises(InvalidAudio, match="has ended"):
            await feed(decoder, data)
        assert [piece async for piece in decoder.flush()] == []


async def test_a_recording_that_ends_before_its_head() -> None:
    async with decoding() as decoder:
        await feed(decoder, b"OggS")
        with pytest.raises(InvalidAudio, match="not audio"):
            await anext(decoder.flush())


async def test_decoding_is_not_done_on_the_event_loop() -> None:
    threads = set()

    class Watched(StreamDecoder):
        def make(self, made: Audio | GatewayError | None) -> None:
            threads.add(threading.get_ident())
            super().make(made)

    decoder = Watched()
    assert await feed(decoder, recorded(BECKETT, "ogg"))
    decoder.close()

    assert len(threads) == 1
    assert threading.get_ident() not in threads
