"""A file's session: no more of it is decoded or kept than the engine can use."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engine.messages import Audio
from engine.speech_session import SpeechSession
from engine.worker import Worker
from gateway.errors import EngineFailed, InvalidAudio, InvalidOption, TooLarge
from gateway.http.upload import BLOCK, Upload
from gateway.wire.messages import Done, Final, Partial
from gateway.wire.openai_uploads import read_request
from tests.engine.models.doubles import HeldModel, OneWordASecondModel, RaisingModel
from tests.engine.test_worker import running, silence, speech
from tests.waiting import until

PHRASE = [speech(3), silence(1)]


@pytest.fixture
def decoders() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


class Recording:
    """Blocks of audio, decoded when asked for."""

    def __init__(self, blocks: Iterator[Audio]) -> None:
        self._blocks = blocks
        self.decoded = 0
        self.closed = False

    def read(self) -> Any:
        try:
            for block in self._blocks:
                self.decoded += len(block)
                yield block
        finally:
            self.closed = True


@asynccontextmanager
async def uploading(
    worker: Worker, decoders: ThreadPoolExecutor, recording: Recording, *fields: tuple[str, str]
) -> AsyncIterator[Upload]:
    request = read_request([("model", "any"), *fields])
    upload = Upload(recording.read(), request, worker, decoders)
    try:
        await upload.open()
        yield upload
    finally:
        upload.close()


async def all_of(upload: Upload) -> list[Any]:
    said: list[Any] = []
    async with asyncio.timeout(20):
        while not said or not isinstance(said[-1], Done):
            said.append(await upload.next())
    return said


def long_audio(phrases: int = 45) -> Iterator[Audio]:
    """Three minutes."""
    for _ in range(phrases):
        yield from (block for each in PHRASE for block in (each[:BLOCK], each[BLOCK:]))


@pytest.mark.parametrize("stream", ["true", "false"])
@pytest.mark.timeout(60)
async def test_memory_does_not_grow_with_the_length_of_a_file(
    stream: str, decoders: ThreadPoolExecutor
) -> None:
    held: list[int] = []

    def watched() -> Iterator[Audio]:
        for block in long_audio():
            held.extend(session.stream.nbytes for session in sessions)
            yield block

    sessions: list[SpeechSession] = []
    async with running(OneWordASecondModel()) as worker:
        opened = worker.open
        worker.open = lambda *each: sessions.append(opened(*each)) or sessions[-1]  # type: ignore[method-assign,func-returns-value]
        audio = Recording(watched())
        async with uploading(worker, decoders, audio, ("stream", stream)) as upload:
            said = await all_of(upload)

    assert sum(isinstance(each, Final) for each in said) == 45
    assert said[-1].duration_ms == 180_000
    two_segments = 2 * 28 * 16_000 * 4
    assert max(held) <= 2 * two_segments  # of 11.5 MB; its array grows by doubling


@pytest.mark.parametrize(("stream", "ahead_s"), [("true", 4), ("false", 60)])
async def test_nothing_is_decoded_that_the_engine_cannot_use_yet(
    stream: str, ahead_s: int, decoders: ThreadPoolExecutor
) -> None:
    model, recording = HeldModel(), Recording(long_audio())
    async with (
        running(model) as worker,
        uploading(worker, decoders, recording, ("stream", stream)) as upload,
    ):
        reading = asyncio.create_task(upload.next())
        await until(lambda: bool(model.waiting) and not upload._has_room())
        assert recording.decoded <= (ahead_s + 4) * 16_000
        model.permit(10_000)
        await reading


async def test_partials_come_chunk_by_chunk(decoders: ThreadPoolExecutor) -> None:
    blocks = [speech(2)] * 6
    async with (
        running(OneWordASecondModel()) as worker,
        uploading(worker, decoders, Recording(iter(blocks)), ("stream", "true")) as upload,
    ):
        said = await all_of(upload)

    assert [type(each) for each in said] == [Partial] * 5 + [Final, Done]


async def test_closing_it_ends_the_work_and_the_decoding(decoders: ThreadPoolExecutor) -> None:
    model, recording = HeldModel(), Recording(long_audio())
    async with running(model) as worker:
        async with uploading(worker, decoders, recording) as upload:
            reading = asyncio.create_task(upload.next())
            await until(lambda: bool(model.waiting))
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        await until(lambda: recording.closed)
        model.permit(10_000)
        after = worker.open("after", upload.session._stream_options, upload)
        after.push(speech(3))
        await until(lambda: any(b[0].key.session == "after" for b in model.taken) or after.idle)

    assert len([b for b in model.taken if b[0].key.session == upload.session.id]) == 1


async def test_what_decoding_finds_wrong_is_told(decoders: ThreadPoolExecutor) -> None:
    def broken() -> Iterator[Audio]:
        yield speech(1)
        raise InvalidAudio("It is broken.")

    async with (
        running(OneWordASecondModel()) as worker,
        uploading(worker, decoders, Recording(broken())) as upload,
    ):
        with pytest.raises(InvalidAudio, match="It is broken"):
            await all_of(upload)


async def test_a_segment_that_the_engine_gave_up_is_not_left_out_in_silence(
    decoders: ThreadPoolExecutor,
) -> None:
    class PoisonedModel(RaisingModel):
        def step(self, batch: Any) -> Any:
            raise RuntimeError("poison")

    async with (
        running(PoisonedModel()) as worker,
        uploading(worker, decoders, Recording(iter(PHRASE))) as upload,
    ):
        with pytest.raises(EngineFailed):
            await all_of(upload)


async def test_with_a_prefix_a_file_is_one_segment(decoders: ThreadPoolExecutor) -> None:
    prefix = ("prefix", "word0 ")
    async with running(OneWordASecondModel()) as worker:
        short = Recording(iter([*PHRASE, *PHRASE]))
        async with uploading(worker, decoders, short, prefix) as upload:
            said = await all_of(upload)
        assert [type(each) for each in said] == [Final, Done]

        long = Recording(iter([speech(2)] * 15))
        async with uploading(worker, decoders, long, prefix) as upload:
            with pytest.raises(TooLarge, match="at most 28 seconds"):
                await all_of(upload)


async def test_options_that_the_model_does_not_have_are_refused(
    decoders: ThreadPoolExecutor,
) -> None:
    async with running(OneWordASecondModel()) as worker:
        with pytest.raises(InvalidOption, match="language must be one that double knows"):
            async with uploading(worker, decoders, Recording(long_audio()), ("language", "de")):
                pass
