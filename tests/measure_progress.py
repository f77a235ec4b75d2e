"""What ``stream_tokens`` costs a batch: ``python -m tests.measure_progress [--batch 8]``.

Batches of the digits checkpoint, in a model process as the gateway has it, with and without
progress in turn, so that whatever else the machine does falls on both alike.
"""

import argparse
import asyncio
import time
from dataclasses import replace
from statistics import median

from engine.messages import Progress, SegmentKey, Step
from engine.models.base import ModelOptions
from engine.process_runner import ProcessRunner
from tests.assets.digits_checkpoint import CHECKPOINT
from tests.assets.digits_evaluation import long_sample
from tests.assets.digits_speech import UNSEEN_VOICES


async def measure(batch: int, rounds: int) -> None:
    """Prints the median seconds of a batch, and how often progress was told."""
    runner = ProcessRunner(str(CHECKPOINT), ModelOptions(device="cpu"))
    told: list[Progress] = []
    runner.tell = told.append
    await runner.start()
    audio = long_sample("English", UNSEEN_VOICES[0], 20, seed=1).audio
    steps = [Step(SegmentKey(f"session {i}", 1), audio) for i in range(batch)]
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(2 * rounds):
        progress = turn % 2 == 1
        began = time.perf_counter()
        await runner.step([replace(step, progress=progress) for step in steps])
        seconds[progress].append(time.perf_counter() - began)
    await runner.close()
    without, with_progress = median(seconds[False]), median(seconds[True])
    print(f"{batch} segments of 20 s: {without:.3f} s, with progress {with_progress:.3f} s")
    print(f"{with_progress / without - 1:+.1%}; told {len(told) / batch / rounds:.1f} times each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    asyncio.run(measure(given.batch, given.rounds))


if __name__ == "__main__":
    main()
