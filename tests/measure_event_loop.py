"""How long the gateway's event loop is held: ``python -m tests.measure_event_loop``.

A gateway whose model answers at once, in this process, under the load of `scribewire bench` in
others. A task wakes every millisecond and notes how much later than asked it did.
"""

import argparse
import asyncio
import sys
from pathlib import Path

import numpy as np
import uvloop

from engine.memory import freeze_what_stays
from gateway.log import configure_logging
from gateway.server import run_in_background
from gateway.settings import Settings

EVERY_S = 0.001
INSTANT = "gateway.bench.doubles:InstantModel"


async def watch(late_ms: list[float]) -> None:
    """Until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        asked = loop.time() + EVERY_S
        await asyncio.sleep(EVERY_S)
        late_ms.append(1000 * (loop.time() - asked))


async def measure(sessions: int, seconds: float) -> None:
    """Prints percentiles of how late the loop was."""
    settings = Settings(port=0, model=INSTANT, log_level="error")
    configure_logging(settings)
    late_ms: list[float] = []
    async with run_in_background(settings) as url:
        load = await asyncio.create_subprocess_exec(
            Path(sys.prefix) / "bin" / "scribewire", "bench", "--url", url, "--sessions",
            str(sessions), "--duration-s", str(seconds), stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        freeze_what_stays()  # as `scribewire serve` does
        await asyncio.sleep(4)  # the clients start
        watching = asyncio.create_task(watch(late_ms))
        await load.wait()
        watching.cancel()
    shares = {f"p{share:g}": np.percentile(late_ms, share) for share in (50, 95, 99, 99.9, 100)}
    figures = ", ".join(f"{name} {ms:.1f}" for name, ms in shares.items())
    print(f"{sessions} sessions: the loop was late by {figures} ms ({len(late_ms)} looks)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=15.0)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(given.sessions, given.seconds))


if __name__ == "__main__":
    main()
