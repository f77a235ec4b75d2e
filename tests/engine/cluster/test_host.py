"""One copy of the model for many gateways, without Ray around it."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.cluster import host as module
from engine.cluster.host import ModelHost
from engine.messages import Audio, SegmentKey, Step, StepResult, describe_step, dumps, loads
from tests.engine.models.doubles import OneWordASecondModel, RaisingModel, TellingModel


class HeldModel(OneWordASecondModel):
    """Begins a batch only when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Semaphore(0)

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        assert self.go.acquire(timeout=20)
        return super().step(batch)


class Clock:
    """In the place of `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic


class ClockedModel(OneWordASecondModel):
    """Takes 70 ms for a batch and 2 ms for each step, by a clock of its own."""

    def __init__(self, clock: Clock, max_batch: int) -> None:
        super().__init__()
        self.info = replace(self.info, max_batch=max_batch)
        self.clock, self.spent_s = clock, 0.0

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        seconds = 0.070 + 0.002 * len(batch)
        self.clock.now += seconds
        self.spent_s += seconds
        return super().step(batch)


def step(session: str, seconds: float, **more: Any) -> Step:
    audio = np.ones(int(16_000 * seconds), np.float32)
    return Step(SegmentKey(session, 1), audio, **more)


def packed(*steps: Step, audio_from: int = 0) -> tuple[bytes, Audio]:
    news = [each.audio[audio_from:] for each in steps]
    told = [describe_step(each, audio_from) for each in steps]
    return dumps({"steps": told, "lengths": list(map(len, news))}), np.concatenate(news)


async def answer(host: ModelHost, *steps: Step, audio_from: int = 0) -> dict[str, Any]:
    return loads(await host.step(*packed(*steps, audio_from=audio_from)))


def counts(reply: dict[str, Any]) -> list[int]:
    """Words of each result."""
    return [len(result["tokens"]) for result in reply["results"]]


async def test_only_new_audio_has_to_come() -> None:
    model = OneWordASecondModel()
    host = ModelHost(model, {})

    assert counts(await answer(host, step("a", 2))) == [2]
    assert counts(await answer(host, step("a", 5), audio_from=32_000)) == [5]
    assert [len(each.audio) for each in model.steps] == [32_000, 80_000]
    # A final may end before the last partial did, and a later step before neither.
    assert counts(await answer(host, step("a", 3), audio_from=48_000)) == [3]
    assert counts(await answer(host, step("a", 6), audio_from=80_000)) == [6]


async def test_it_says_whose_earlier_audio_is_not_here() -> None:
    model = OneWordASecondModel()
    host = ModelHost(model, {})
    await answer(host, step("a", 2))

    reply = await answer(host, step("a", 3), step("b", 3), audio_from=32_000)
    assert reply == {"missing": [["b", 1]]}
    assert len(model.steps) == 1


async def test_what_is_forgotten_is_missing() -> None:
    model = OneWordASecondModel()
    host = ModelHost(model, {})
    await answer(host, step("a", 2), step("b", 2))
    await host.forget([("a", 1)])

    assert model.forgotten == [("a", 1)]
    assert await answer(host, step("a", 3), audio_from=32_000) == {"missing": [["a", 1]]}
    assert (await host.load())["segments"] == 1


async def test_a_batch_that_takes_long_counts_while_it_runs() -> None:
    """A pool looks twice a second: else a copy that is always at work would seem idle between."""
    model = HeldModel()
    host = ModelHost(model, {})
    running = asyncio.create_task(answer(host, step("a", 2)))
    needed = [(await host.load())["needed_s"]]
    for _ in range(5):
        await asyncio.sleep(0.02)
        needed.append((await host.load())["needed_s"])
    model.go.release()
    await running

    assert needed == sorted(needed)
    assert needed[-1] > needed[0] + 0.05
    assert (await host.load())["needed_s"] >= needed[-1]


async def test_batches_that_wait_are_merged_and_finals_go_first() -> None:
    model = HeldModel()
    host = ModelHost(model, {})
    calls = [
        asyncio.create_task(answer(host, step("first", 1))),
        asyncio.create_task(answer(host, step("a", 1), step("b", 2))),
        asyncio.create_task(answer(host, step("c", 3), step("d", 4))),
        asyncio.create_task(answer(host, step("e", 5, final=True))),
    ]
    await asyncio.sleep(0)
    assert (await host.load())["waiting"] == 5
    model.go.release(4)
    replies = await asyncio.gather(*calls)

    assert [counts(reply) for reply in replies] == [[1], [1, 2], [3, 4], [5]]
    assert [each.key.session for each in model.steps] == ["first", "e", "a", "b", "c", "d"]
    assert model.batches == [1, 3, 2]
    assert all(reply["seconds"] > 0 for reply in replies)


@pytest.mark.parametrize(
    ("max_batch", "sizes", "needs"),
    [
        (100, (1, 3, 2, 4) * 25, 250 * (0.002 + 0.070 / 100)),  # a fifteenth of what it spent
        (4, (4, 1) * 50, 250 * (0.002 + 0.070 / 4)),
        (1, (1,) * 50, 50 * 0.072),  # all of it, as there is nothing to share
        (100, (3,) * 50, 50 * 0.076),  # all of it, as nothing is known
    ],
)
async def test_it_tells_what_its_steps_would_need_in_full_batches(
    max_batch: int, sizes: Sequence[int], needs: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    model = ClockedModel(clock, max_batch)
    host = ModelHost(model, {})
    for size in sizes:
        await answer(host, *(step(str(i), 0.1) for i in range(size)))

    told = await host.load()
    assert told["steps"] == sum(sizes)
    assert told["needed_s"] == pytest.approx(needs, rel=0.15)
    assert told["needed_s"] <= model.spent_s


async def test_one_gateways_fault_is_not_the_others() -> None:
    host = ModelHost(RaisingModel(), {})
    good, bad = await asyncio.gather(answer(host, step("good", 1)), answer(host, step("poison", 1)))
    first, second, other = await asyncio.gather(
        answer(host, step("held up", 1)),
        answer(host, step("poison", 2)),
        answer(host, step("x", 2)),
    )

    assert counts(good) == counts(first) == [1]
    assert bad["failed"] == second["failed"] == "the model raised RuntimeError"
    assert counts(other) == [2]


async def test_progress_goes_to_the_batch_whose_it_is() -> None:
    host = ModelHost(TellingModel(), {})
    await host.hello()

    async def told(session: str) -> list[dict[str, Any]]:
        asked = packed(step(session, 2, progress=True))
        return [loads(message) async for message in host.step_telling(*asked)]

    for session, messages in zip("ab", await asyncio.gather(told("a"), told("b")), strict=True):
        *progress, result = messages
        assert [each["progress"]["text"] for each in progress] == [b" word0", b" word0 word1"]
        assert {each["progress"]["key"][0] for each in progress} == {session}
        assert counts(result) == [2]


async def test_segments_of_a_gateway_that_died_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = OneWordASecondModel()
    host = ModelHost(model, {})
    await answer(host, step("a", 2))
    assert (await host.load())["segments"] == 1

    monkeypatch.setattr(module, "KEPT_FOR_S", -1.0)
    assert (await host.load())["segments"] == 0
    assert model.forgotten == [("a", 1)]


async def test_a_model_that_cannot_be_had_is_said_when_asked() -> None:
    host = ModelHost("no-such-model", {})

    assert "there is no model 'no-such-model'" in (await host.hello())["unavailable"]
