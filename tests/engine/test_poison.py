"""Speech that kills the model's process each time it is stepped."""

import asyncio

import pytest

from engine.process_runner import ProcessRunner
from engine.segment import StreamOptions
from engine.stream import MAX_FAILURES
from engine.transcript import SegmentFailed
from engine.worker import Worker
from tests.engine.test_worker import LoudnessDetector, Recorder, silence, speak, speech


@pytest.mark.timeout(90)
async def test_its_segment_fails_after_three_lives_and_nobody_else_misses_a_word() -> None:
    runner = ProcessRunner("tests.engine.models.doubles:DyingModel")
    worker = Worker(runner, LoudnessDetector())
    await worker.start()
    poisoned, healthy = Recorder(), Recorder()
    try:
        for name, recorder in (("die", poisoned), ("healthy", healthy)):
            session = worker.open(name, StreamOptions(), recorder)
            await speak(session, speech(3), silence(1))
            session.close_segment("stop")
        async with asyncio.timeout(60):
            for recorder in (poisoned, healthy):
                await recorder.finished.wait()
    finally:
        await worker.close()

    assert healthy.texts() == ["word0 word1 word2"]
    assert healthy.count(SegmentFailed) == 0
    assert poisoned.texts() == [""]
    assert poisoned.count(SegmentFailed) == 1
    assert runner.restarts <= MAX_FAILURES
