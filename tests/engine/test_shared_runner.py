"""One model's process, two gateways: each is served, and survives the other and the model."""

import asyncio
import os
import signal
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.messages import Progress, SegmentKey, Step
from engine.runner import ModelUnavailableError, StepFailedError
from engine.shared_runner import SharedModel, SharedRunner

DOUBLES = "tests.engine.models.doubles"


def step(session: str, seconds: float) -> Step:
    return Step(SegmentKey(session, 1), np.zeros(int(16_000 * seconds), np.float32))


async def words(runner: SharedRunner, session: str, seconds: float) -> int:
    async with asyncio.timeout(20):
        [result] = await runner.step([step(session, seconds)])
    return len(result.tokens)


class Shared:
    """A model and two gateways' runners."""

    def __init__(self, path: Path, model: str, step_within_s: float) -> None:
        self.path = path / "model"
        self.model = SharedModel(self.path, f"{DOUBLES}:{model}", step_within_s=step_within_s)
        self.one, self.other = SharedRunner(self.path), SharedRunner(self.path)

    async def __aenter__(self) -> "Shared":
        await self.model.start()
        await self.one.start()
        await self.other.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        for each in (self.one, self.other, self.model):
            await each.close()


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Shared]:
    async with Shared(tmp_path, "DyingModel", 1.0) as shared:
        yield shared


async def test_both_use_it_and_only_new_audio_travels(shared: Shared) -> None:
    for seconds in (1, 2, 5, 3, 6):  # a final may end before the last partial did
        counts = await asyncio.gather(
            words(shared.one, "a", seconds), words(shared.other, "b", seconds)
        )
        assert counts == [seconds, seconds]
    assert shared.one.info == shared.other.info
    assert shared.one.busy_s > 0


async def test_what_is_forgotten_is_sent_again_if_needed(shared: Shared) -> None:
    await words(shared.one, "a", 4)
    shared.one.forget(SegmentKey("a", 1))

    assert await words(shared.one, "a", 5) == 5


async def test_what_the_model_dropped_is_sent_again(shared: Shared) -> None:
    shared.one._sent[SegmentKey("a", 1)] = 64_000  # as if nobody had asked for it in long

    assert await words(shared.one, "a", 5) == 5


async def test_a_gateway_that_leaves_disturbs_nobody(shared: Shared) -> None:
    await words(shared.one, "a", 2)
    await words(shared.other, "b", 2)
    await shared.one.close()

    assert await words(shared.other, "b", 3) == 3
    assert shared.other.restarts == 0


async def test_a_model_that_is_killed_is_back_for_both(shared: Shared) -> None:
    await words(shared.one, "a", 2)
    await words(shared.other, "b", 2)
    assert shared.model.pid is not None
    os.kill(shared.model.pid, signal.SIGKILL)
    while shared.one.ready or shared.other.ready:
        await asyncio.sleep(0.01)

    counts = await asyncio.gather(words(shared.one, "a", 3), words(shared.other, "b", 4))
    assert counts == [3, 4]  # both sent everything again
    assert (shared.one.restarts, shared.model.restarts) == (1, 1)


@pytest.mark.parametrize(
    ("session", "reason"), [("die", "process died"), ("raise", "raised RuntimeError")]
)
async def test_a_step_that_comes_to_nothing_says_why(
    shared: Shared, session: str, reason: str
) -> None:
    with pytest.raises(StepFailedError, match=reason):
        await words(shared.one, session, 1)

    assert await words(shared.other, "b", 2) == 2


async def test_a_batch_that_hangs_costs_the_model_its_process(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.process_runner.PONG_WITHIN_S", 0.5)
    monkeypatch.setattr("engine.process_runner.PING_EVERY_S", 0.2)
    with pytest.raises(StepFailedError, match="process died"):
        await words(shared.one, "slow", 1)

    assert await words(shared.other, "b", 2) == 2


async def test_what_is_decoded_is_told_to_whose_step_it_is(tmp_path: Path) -> None:
    async with Shared(tmp_path, "TellingModel", 5.0) as shared:
        told: dict[str, list[Progress]] = {"one": [], "other": []}
        shared.one.tell, shared.other.tell = told["one"].append, told["other"].append
        await shared.one.step([replace(step("a", 2), progress=True)])

    assert [each.text for each in told["one"]] == [b" word0", b" word0 word1"]
    assert told["other"] == []


async def test_nobody_else_may_reach_it(shared: Shared) -> None:
    assert stat.S_IMODE(shared.path.stat().st_mode) == 0o600


async def test_a_model_that_cannot_be_had_is_said_in_a_sentence(tmp_path: Path) -> None:
    model = SharedModel(tmp_path / "model", "nonsense")
    try:
        with pytest.raises(ModelUnavailableError, match="no model 'nonsense'"):
            await model.start()
    finally:
        await model.close()


async def test_without_a_model_a_gateway_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="cannot be reached"):
        await SharedRunner(tmp_path / "nothing").start()
