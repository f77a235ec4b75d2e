"""Copies of a model in a real Ray cluster: placed, killed, scaled; the sessions see nothing."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest

from engine.cluster.pool import Plan
from engine.cluster.runner import REFRESH_EVERY_S, RayRunner
from engine.messages import Progress, SegmentKey, Step
from engine.runner import ModelUnavailableError, StepFailedError
from engine.segment import StreamOptions
from engine.transcript import SegmentFailed
from engine.worker import Worker
from tests import waiting
from tests.chaos import chaos
from tests.engine.test_worker import LoudnessDetector, Recorder, silence, speech
from tests.ray_cluster import Cluster, free_port

pytestmark = [
    pytest.mark.xdist_group("ray"),
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]

STEADY = "tests.engine.cluster.doubles:SteadyModel"
TELLING = "tests.engine.models.doubles:TellingModel"
BUSY = "tests.engine.cluster.doubles:BusyModel"
MORTAL = "tests.engine.cluster.doubles:MortalModel"
LINGER_S = 5.0
"""Longer than a busy machine keeps a gateway from asking: a pool that nobody asks ends."""
CLIENT_LINGER_S = 30.0
"""The same through Ray's client: its server is another process, forked and warmed up first."""

until = partial(waiting.until, within_s=60)


@pytest.fixture(autouse=True)
async def nobody_is_left(cluster: Cluster) -> AsyncIterator[None]:
    """A pool ends after its last gateway, and its copies with it: the next test has the cluster."""
    yield
    await until(lambda: not cluster.pools and not cluster.copies)


@asynccontextmanager
async def joined(
    model: str, least: int = 1, most: int | None = None, address: str = "ray"
) -> AsyncIterator[RayRunner]:
    """A runner with ``least`` copies that are ready; they end with it."""
    linger_s = LINGER_S if address == "ray" else CLIENT_LINGER_S
    runner = RayRunner(address, Plan(model, least=least, most=most or least, linger_s=linger_s))
    await runner.start()
    try:
        await until(lambda: runner.copies == least)
        yield runner
    finally:
        await runner.close()


def step(session: str, seconds: float, segment: int = 1, *, progress: bool = False) -> Step:
    audio = np.ones(int(16_000 * seconds), np.float32)
    return Step(SegmentKey(session, segment), audio, progress=progress)


async def words(runner: RayRunner, *steps: Step) -> list[int]:
    return [len(result.tokens) for result in await runner.step(steps)]


async def test_segments_are_spread_and_stay(cluster: Cluster) -> None:
    async with joined(STEADY, 2) as runner:
        places = [runner.place(SegmentKey(name, 1)) for name in "abcd"]
        assert [places.count(place) for place in {*places}] == [2, 2]
        assert [runner.place(SegmentKey(name, 1)) for name in "abcd"] == places

        assert [await words(runner, step("a", s)) for s in (1, 3, 2)] == [[1], [3], [2]]
        assert runner.place(SegmentKey("a", 1)) == places[0]
        assert runner.busy_s > 0
        for name in "abcd":
            runner.forget(SegmentKey(name, 1))


async def test_a_killed_copy_is_replaced_and_its_steps_are_taken_by_another(
    cluster: Cluster,
) -> None:
    async with joined(STEADY, 2) as runner:
        assert await words(runner, step("a", 2), step("b", 3)) == [2, 3]
        for process in cluster.copies:
            os.kill(process.pid, signal.SIGKILL)
        # All were killed: the steps wait for the first that is back, and it gets all audio.
        assert await words(runner, step("a", 4), step("b", 5)) == [4, 5]
        assert runner.restarts >= 1
        await until(lambda: runner.copies == 2)


async def test_a_step_that_kills_every_copy_fails(cluster: Cluster) -> None:
    async with joined(MORTAL) as runner:
        with pytest.raises(StepFailedError, match="copies of the model died"):
            await runner.step([step("die", 1)])
        assert await words(runner, step("a", 2)) == [2]


async def test_a_fault_of_the_model_fails_the_batch_only(cluster: Cluster) -> None:
    async with joined(MORTAL) as runner:
        with pytest.raises(StepFailedError, match="the model raised RuntimeError"):
            await runner.step([step("raise", 1)])
        assert await words(runner, step("a", 2)) == [2]
        assert runner.restarts == 0


async def test_progress_is_told_before_the_result(cluster: Cluster) -> None:
    async with joined(TELLING) as runner:
        told: list[Progress] = []
        runner.tell = told.append
        [result] = await runner.step([step("a", 2, progress=True)])

    assert [progress.text for progress in told] == [b" word0", b" word0 word1"]
    assert told[-1].text == b"".join(result.pieces)


@asynccontextmanager
async def speaking(runner: RayRunner, sessions: int) -> AsyncIterator[list[Recorder]]:
    """A worker with sessions that speak three times for three seconds, at many times their pace."""
    worker = Worker(runner, LoudnessDetector())
    await worker.start()
    recorders = [Recorder() for _ in range(sessions)]

    async def speak(name: str, recorder: Recorder) -> None:
        session = worker.open(name, StreamOptions(chunk=8000), recorder)
        for _ in range(3):
            for _ in range(30):
                session.push(speech(0.1))
                await asyncio.sleep(0.02)
            session.push(silence(1))
        session.close_segment("stop")
        await recorder.finished.wait()

    try:
        async with asyncio.TaskGroup() as tasks:
            for i, recorder in enumerate(recorders):
                tasks.create_task(speak(f"session {i}", recorder))
            yield recorders
    finally:
        await worker.close()


def check(recorders: list[Recorder]) -> None:
    said = ["word0 word1 word2", " word0 word1 word2", " word0 word1 word2"]
    assert [recorder.texts() for recorder in recorders] == [said] * len(recorders)
    assert all(recorder.count(SegmentFailed) == 0 for recorder in recorders)


async def test_no_session_notices_copies_that_are_killed_under_load(cluster: Cluster) -> None:
    runner = RayRunner("ray", Plan(STEADY, least=2, most=2, linger_s=LINGER_S))
    async with speaking(runner, 12) as recorders:
        for _ in range(3):
            await asyncio.sleep(0.7)
            for process in cluster.copies[:1]:
                os.kill(process.pid, signal.SIGKILL)

    check(recorders)
    assert runner.restarts >= 2


async def test_no_session_notices_that_copies_come_and_go(cluster: Cluster) -> None:
    runner = RayRunner("ray", Plan(STEADY, least=1, most=3, linger_s=LINGER_S))
    seen = set()
    async with speaking(runner, 12) as recorders:
        for copies in (3, 1):
            await runner.scale(copies)
            while runner.copies != copies:
                seen.add(runner.copies)
                await asyncio.sleep(0.05)
            seen.add(copies)

    check(recorders)
    assert {1, 3} <= seen
    assert runner.restarts == 0


async def test_copies_follow_the_load(cluster: Cluster) -> None:
    async with joined(BUSY, 1, most=2) as runner:

        async def keep_busy(name: str) -> None:
            while runner.copies == 1:
                await runner.step([step(name, 1)])

        await asyncio.wait_for(asyncio.gather(*map(keep_busy, "abc")), 60)


async def test_the_pools_own_death_ends_no_copy(cluster: Cluster) -> None:
    async with joined(STEADY, 2) as runner:
        assert await words(runner, step("a", 2)) == [2]
        before = {process.pid for process in cluster.copies}
        pools = {process.pid for process in cluster.pools}
        for process in cluster.pools:
            process.kill()
        assert await words(runner, step("a", 3)) == [3]
        await until(lambda: bool({process.pid for process in cluster.pools} - pools))
        await asyncio.sleep(2 * REFRESH_EVERY_S)

        assert {process.pid for process in cluster.copies} == before
        assert (runner.copies, runner.restarts) == (2, 0)


async def test_a_pool_that_died_with_no_gateway_left_still_ends(cluster: Cluster) -> None:
    async with joined(STEADY):
        [first] = cluster.pools
    first.kill()
    await until(lambda: bool(cluster.pools) and first not in cluster.pools)  # Ray starts it again

    await until(lambda: not cluster.pools and not cluster.copies)


async def test_through_rays_client(cluster: Cluster) -> None:
    """As from a machine outside of the cluster; its steps tell no progress."""
    async with joined(TELLING, address=f"ray://127.0.0.1:{cluster.client_port}") as runner:
        assert not runner.info.tells_progress
        assert [await words(runner, step("a", s)) for s in (1, 3, 2)] == [[1], [3], [2]]


async def test_a_network_that_stalls_on_the_way_to_a_cluster_stops_nothing_else(
    cluster: Cluster,
) -> None:
    """Ray's client itself waits for each call to be taken note of, in whoever makes it."""
    async with (
        chaos(f"ws://127.0.0.1:{cluster.client_port}") as network,
        joined(STEADY, address=network.url.replace("ws", "ray")) as runner,
    ):
        network.stall()
        stepping = asyncio.create_task(words(runner, step("a", 2)))
        async with asyncio.timeout(10):
            for _ in range(30):
                await asyncio.sleep(0.02)
        assert not stepping.done()

        network.flow()
        assert await stepping == [2]


@pytest.mark.parametrize(
    ("forever", "kind"),
    [(False, ConnectionAbortedError), (False, ConnectionError), (True, ConnectionAbortedError)],
)
async def test_a_server_for_rays_client_that_dies_as_it_is_forked_stops_nothing(
    cluster: Cluster, forever: bool, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.util.client.worker import Worker

    from engine.cluster.ray_actors import CONNECT_TRIES

    begin, died = Worker._server_init, iter(range(CONNECT_TRIES if forever else 1))

    def begin_after_failures(*arguments: Any) -> None:
        if next(died, None) is not None:
            raise kind("Starting Ray client server failed.")
        begin(*arguments)

    monkeypatch.setattr(Worker, "_server_init", begin_after_failures)
    address = f"ray://127.0.0.1:{cluster.client_port}"
    if forever:
        with pytest.raises(ModelUnavailableError, match="Starting Ray client server failed"):
            await RayRunner(address, Plan(TELLING)).start()
        address = "ray"
    async with joined(TELLING, address=address) as runner:
        assert await words(runner, step("a", 1)) == [1]


@pytest.mark.parametrize(
    ("address", "model", "why"),
    [
        ("ray://127.0.0.1:{closed}", STEADY, "no Ray cluster answers at 'ray://127.0.0.1:"),
        ("ray://nowhere", STEADY, "no Ray cluster answers at 'ray://nowhere'"),
        ("ray", "no-such-model", "there is no model 'no-such-model'"),
        ("ray", "tests.engine.models.doubles:DyingAtOnceModel", "died while loading"),
    ],
)
async def test_what_cannot_be_had_is_said(
    cluster: Cluster, address: str, model: str, why: str
) -> None:
    runner = RayRunner(address.format(closed=free_port()), Plan(model, linger_s=LINGER_S))
    with pytest.raises(ModelUnavailableError, match=why):
        await runner.start()
