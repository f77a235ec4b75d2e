"""What a Ray cluster adds, and what it brings: ``python -m tests.measure_cluster``.

First the way there and back: 1,000 sessions of steady speech in real time, stepped every 2 s by
four copies of a double that takes 20 ms for a batch of any size; what a batch takes longer than
that, beside four lanes of the same double in threads of this process. Sessions are pushed into the
engine directly, and the detector is a double, so that on two cores the cluster is what is measured.

Then steps a second of the embedded model, with one copy of one core and with two.
"""

import argparse
import asyncio
import time
from dataclasses import replace

import numpy as np

from engine.cluster.pool import Plan
from engine.cluster.runner import RayRunner
from engine.messages import SAMPLE_RATE, SegmentKey, Step
from engine.models.base import ModelOptions
from engine.models.catalog import EMBEDDED
from engine.runner import Runner, ThreadRunner
from engine.segment import StreamOptions
from engine.worker import BatchReport, Observers, Worker
from gateway.audio import decode_file
from tests.engine.cluster.doubles import STEP_S, SteadyModel
from tests.engine.test_worker import LoudnessDetector, Recorder
from tests.speech import speech

FRAME_S = 0.1
BEGIN_WITHIN_S = 28.0
"""One after another, as in life: their segments, of up to 28 s, end and grow at different times."""
WARM_UP_S = 35


async def added(name: str, runner: Runner, sessions: int, seconds: float) -> None:
    """Prints what batches take beyond `STEP_S`, over ``seconds`` after `WARM_UP_S`."""
    reports: list[BatchReport] = []
    worker = Worker(runner, LoudnessDetector(), Observers(batch=reports.append))
    await worker.start()
    frame = np.full(int(FRAME_S * SAMPLE_RATE), 0.5, np.float32)
    every = StreamOptions(max_segment=28 * SAMPLE_RATE)
    streams = [worker.open(f"s{i}", every, Recorder()) for i in range(sessions)]
    loop = asyncio.get_running_loop()
    began = loop.time()
    order = np.random.default_rng(0).permutation(sessions)
    spans = np.array_split(np.arange(sessions), 20)  # sessions begin at any time of a frame
    turns = round((WARM_UP_S + seconds) / FRAME_S) * len(spans)
    for turn in range(turns):
        due = began + turn * FRAME_S / len(spans)
        await asyncio.sleep(max(0.0, due - loop.time()))
        if turn == round(WARM_UP_S / FRAME_S) * len(spans):
            reports.clear()
        begun = sessions * turn * FRAME_S / len(spans) / BEGIN_WITHIN_S
        for i in spans[turn % len(spans)]:
            if order[i] < begun:
                streams[i].push(frame)
    late = loop.time() - began - turns * FRAME_S / len(spans)
    batches = list(reports)
    await worker.close()
    extra = [1000 * (report.seconds - STEP_S) for report in batches]
    steps = sum(len(report.kinds) for report in batches)
    print(
        f"{name}: {steps / seconds:.0f} steps a second in batches of {steps / len(batches):.1f}; "
        f"added ms p50 {np.percentile(extra, 50):.1f}, p95 {np.percentile(extra, 95):.1f}, "
        f"p99 {np.percentile(extra, 99):.1f}; pushing ended {1000 * late:.0f} ms late"
    )


async def throughput(copies: int, seconds: float) -> None:
    """Prints how many steps of 4 s of speech so many copies of the embedded model take."""
    audio = decode_file(speech("two_cities.wav"))[: 4 * SAMPLE_RATE]
    runner = RayRunner(
        "ray", Plan(EMBEDDED, ModelOptions(threads=1), least=copies, most=copies, linger_s=5.0)
    )
    await runner.start()
    while runner.copies < copies:
        await asyncio.sleep(0.1)
    done, until = 0, time.monotonic() + seconds

    async def feed(number: int) -> None:
        nonlocal done
        while time.monotonic() < until:
            key = SegmentKey(f"feeder {number}", done)
            await runner.step([Step(key, audio)])
            runner.forget(key)
            done += 1

    await asyncio.gather(*map(feed, range(4 * copies)))
    print(f"{copies} copies of {EMBEDDED}: {done / seconds:.1f} steps of 4 s a second")
    await runner.close()


class LanesOfSteadyModel(SteadyModel):
    """Four lanes, as four copies have."""

    def __init__(self) -> None:
        super().__init__()
        self.info = replace(self.info, lanes=4)


async def measure(sessions: int, seconds: float) -> None:
    """All of it."""
    await added("threads of this process", ThreadRunner(LanesOfSteadyModel()), sessions, seconds)
    steady = Plan("tests.engine.cluster.doubles:SteadyModel", least=4, most=4, linger_s=5.0)
    runner = RayRunner("ray", steady)
    await added("four copies in Ray", runner, sessions, seconds)
    for copies in (1, 2):
        await throughput(copies, 15.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    asyncio.run(measure(given.sessions, given.seconds))


if __name__ == "__main__":
    main()
