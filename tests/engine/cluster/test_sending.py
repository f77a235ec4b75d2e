"""What a gateway sends a copy of the model again, without Ray between the two."""

import numpy as np
import pytest

from engine.cluster.host import ModelHost
from engine.cluster.pool import Plan
from engine.cluster.runner import Copy, RayRunner
from engine.messages import SegmentKey, Step
from engine.runner import StepFailedError
from tests.engine.cluster.doubles import Remote
from tests.engine.models.doubles import OneWordASecondModel


class CopyDouble:
    """An actor that is in this process."""

    def __init__(self, host: ModelHost) -> None:
        self.step, self.forget = Remote(host.step), Remote(host.forget)


def step(session: str, seconds: float) -> Step:
    return Step(SegmentKey(session, 1), np.zeros(int(16_000 * seconds), np.float32))


@pytest.fixture
def model() -> OneWordASecondModel:
    return OneWordASecondModel()


@pytest.fixture
def host(model: OneWordASecondModel) -> ModelHost:
    return ModelHost(model, {})


@pytest.fixture
def runner(host: ModelHost) -> RayRunner:
    runner = RayRunner("ray", Plan("double"))
    runner._copies = {1: Copy(1, CopyDouble(host))}
    return runner


async def words(runner: RayRunner, *batch: Step) -> list[int]:
    return [len(result.tokens) for result in await runner.step(batch)]


async def test_with_one_whose_audio_was_dropped_all_of_the_batch_is_sent_again(
    runner: RayRunner, host: ModelHost, model: OneWordASecondModel
) -> None:
    assert await words(runner, step("a", 2), step("b", 1)) == [2, 1]
    await host.forget([("a", 1)])

    # The copy took none of it, the new audio of the others neither.
    assert await words(runner, step("a", 4), step("b", 3), step("c", 1)) == [4, 3, 1]
    assert await words(runner, step("a", 5), step("b", 4)) == [5, 4]
    assert [len(each.audio) for each in model.steps[2:5]] == [64_000, 48_000, 16_000]


async def test_a_copy_that_can_keep_nothing_fails_the_batch_and_no_more(
    runner: RayRunner, host: ModelHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_has", lambda packed: False)

    with pytest.raises(StepFailedError, match="lost what it was sent"):
        await runner.step([step("a", 2)])
