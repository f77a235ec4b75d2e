"""The model's process: killed, stopped, raising, too slow. Nothing is lost but time (P3)."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from engine.messages import Progress, SegmentKey, Step
from engine.process_runner import ProcessRunner
from engine.runner import ModelUnavailableError, StepFailedError, ThreadRunner

DOUBLE = "tests.engine.models.doubles:DyingModel"
RAISED = "tests.engine.models.doubles:OneWordASecondModel"


def step(session: str, seconds: float, segment: int = 1) -> Step:
    return Step(SegmentKey(session, segment), np.zeros(int(16_000 * seconds), np.float32))


@pytest.fixture
async def runner() -> AsyncIterator[ProcessRunner]:
    runner = ProcessRunner(DOUBLE, step_within_s=1.0)
    await runner.start()
    yield runner
    await runner.close()


async def words(runner: ProcessRunner, session: str, seconds: float) -> int:
    async with asyncio.timeout(20):
        [result] = await runner.step([step(session, seconds)])
    return len(result.tokens)


async def test_only_new_audio_travels_and_the_model_sees_all(runner: ProcessRunner) -> None:
    assert [await words(runner, "a", s) for s in (1, 2, 5)] == [1, 2, 5]
    # A final may end before the last partial did.
    assert await words(runner, "a", 3) == 3
    assert await words(runner, "a", 6) == 6


async def test_what_a_step_has_decoded_is_told_before_its_result() -> None:
    runner = ProcessRunner("tests.engine.models.doubles:TellingModel")
    told: list[Progress] = []
    runner.tell = told.append
    await runner.start()
    try:
        asked = replace(step("a", 3), progress=True)
        [result, _] = await runner.step([asked, step("b", 2)])
        before_result = list(told)
    finally:
        await runner.close()

    assert [progress.text for progress in before_result] == [
        b" word0", b" word0 word1", b" word0 word1 word2",
    ]  # fmt: skip
    assert {progress.key for progress in told} == {asked.key}
    assert told[-1].text == b"".join(result.pieces)


@pytest.mark.parametrize("kind", [ProcessRunner, ThreadRunner])
async def test_the_time_that_the_model_took_is_counted_without_the_way_to_it(
    kind: type[ProcessRunner] | type[ThreadRunner],
) -> None:
    runner = kind(RAISED)
    await runner.start()
    counted, began = [runner.busy_s], time.perf_counter()
    for _ in range(3):
        await runner.step([step("a", 1)])
        counted.append(runner.busy_s)
    elapsed = time.perf_counter() - began
    await runner.close()

    assert counted[0] == 0
    assert all(before < after for before, after in pairwise(counted))
    assert counted[-1] < elapsed


async def test_a_process_killed_from_outside_is_back_within_seconds(runner: ProcessRunner) -> None:
    await words(runner, "a", 2)
    assert runner.pid is not None
    os.kill(runner.pid, signal.SIGKILL)
    while runner.ready:
        await asyncio.sleep(0.01)

    assert await words(runner, "a", 3) == 3  # waits for the new one, which is sent everything again
    assert runner.restarts == 1


@pytest.mark.parametrize(
    ("session", "reason"),
    [("die", "died"), ("slow", "too long"), ("raise", "raised RuntimeError")],
)
async def test_a_step_that_comes_to_nothing_says_why(
    runner: ProcessRunner, session: str, reason: str
) -> None:
    with pytest.raises(StepFailedError, match=reason):
        await words(runner, session, 1)

    assert await words(runner, "a", 2) == 2


async def test_a_model_that_raises_keeps_its_process(runner: ProcessRunner) -> None:
    before = runner.pid
    with pytest.raises(StepFailedError):
        await words(runner, "raise", 1)

    assert await words(runner, "a", 1) == 1
    assert runner.pid == before


async def test_a_stopped_process_is_noticed_by_its_missing_pong() -> None:
    runner = ProcessRunner(DOUBLE, step_within_s=60)
    await runner.start()
    try:
        with pytest.raises(StepFailedError, match="died"):
            await words(runner, "hang", 1)
        assert await words(runner, "a", 1) == 1
    finally:
        await runner.close()


async def test_forgotten_audio_is_sent_again_if_needed(runner: ProcessRunner) -> None:
    await words(runner, "a", 4)
    runner.forget(SegmentKey("a", 1))

    assert await words(runner, "a", 5) == 5


async def test_closing_leaves_no_process(runner: ProcessRunner) -> None:
    pid = runner.pid
    assert pid is not None
    await runner.close()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_an_unknown_model_is_said_in_a_sentence() -> None:
    with pytest.raises(ModelUnavailableError, match="no model 'nonsense'"):
        await ProcessRunner("nonsense").start()


async def test_a_process_that_dies_while_loading_is_said_in_a_sentence() -> None:
    with pytest.raises(ModelUnavailableError, match="ended while loading"):
        await ProcessRunner("tests.engine.models.doubles:DyingAtOnceModel").start()
