"""The engine's own batching and pacing on a double that takes as long as a GPU might.

``python -m tests.measure_batching``, half a minute for each number of sessions. Nothing is
computed: a batch sleeps for a fixed time and one for each step. Sessions speak all the time, from
any moment of the warm-up on, and are pushed into the engine directly, past a detector that is a
double too. `deploy.capacity` simulates the same, and CAPACITY.md has both side by side.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from deploy.capacity.inputs import BATCHED_FIXED_S, BATCHED_ROW_S
from engine.messages import SAMPLE_RATE, Step, StepResult
from engine.pacing import Pacing
from engine.runner import ThreadRunner
from engine.segment import StreamOptions
from engine.worker import BatchReport, Observers, Worker
from tests.engine.models.doubles import OneWordASecondModel
from tests.engine.test_worker import LoudnessDetector, Recorder

FRAME_S = 0.1
WARM_UP_S = 10.0
SPANS = 20
"""Times of a frame at which sessions are pushed."""


class SleepingModel(OneWordASecondModel):
    """A double that takes its time for a batch, and keeps nothing of it."""

    def __init__(self) -> None:
        super().__init__()
        self.info = replace(self.info, max_batch=1024)

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        time.sleep(BATCHED_FIXED_S + BATCHED_ROW_S * len(batch))
        return [self.answer(step) for step in batch]


async def measure(sessions: int, seconds: float) -> None:
    """Prints what came of so many sessions."""
    reports: list[BatchReport] = []
    runner = ThreadRunner(SleepingModel())
    worker = Worker(runner, LoudnessDetector(), Observers(batch=reports.append))
    await worker.start()
    frame = np.full(int(FRAME_S * SAMPLE_RATE), 0.5, np.float32)
    streams = [worker.open(f"s{i}", StreamOptions(), Recorder()) for i in range(sessions)]
    loop, cadence, busy = asyncio.get_running_loop(), [], 0.0
    began = loop.time()
    begin = np.random.default_rng(1).uniform(0, WARM_UP_S, sessions)
    spans = np.array_split(np.arange(sessions), SPANS)
    for turn in range(round((WARM_UP_S + seconds) / FRAME_S) * SPANS):
        await asyncio.sleep(max(0.0, began + turn * FRAME_S / SPANS - loop.time()))
        if turn == round(WARM_UP_S / FRAME_S) * SPANS:
            reports.clear()
            busy = runner.busy_s
        if turn % SPANS == 0 and loop.time() - began > WARM_UP_S:
            cadence.append(max(2.0, worker.cadence_in_force / SAMPLE_RATE))
        for i in spans[turn % SPANS]:
            if turn / SPANS * FRAME_S >= begin[i]:
                streams[i].push(frame)
    took = loop.time() - began - WARM_UP_S
    steps, batches = sum(len(report.kinds) for report in reports), len(reports)
    share = (runner.busy_s - busy) / took
    pacing, needed = Pacing(), 0.0
    for report in reports:
        pacing.observe(report.busy_s, len(report.kinds))
        needed += pacing.needed_s(report.busy_s, len(report.kinds), runner.info.max_batch)
    await worker.close()
    print(
        f"{sessions} sessions: {steps / took:.0f} steps a second in batches of "
        f"{steps / batches:.1f}, busy for {share:.2f} of the time "
        f"and needed for {needed / took:.2f}, "
        f"cadence {np.mean(cadence):.2f} s in the mean, {np.max(cadence):.2f} s at most",
        flush=True,
    )


def main() -> None:
    """Prints a line for each number of sessions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=[50, 200, 400])
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    for sessions in given.sessions:
        asyncio.run(measure(sessions, given.seconds))


if __name__ == "__main__":
    main()
