"""What a frame of audio costs this code and another checkout of it, both at the same time.

``python -m tests.measure_beside OTHER_CHECKOUT [--sessions 250] [--workers 1] [--seconds 20]``

A gateway of each, with a model that answers at once and the same load. A machine that is shared is
a fifth faster or slower from one minute to the next; these two have the same minutes, and change
places for a second run. Sessions and processes are of each of the two: the cores must not be full.
"""

import argparse
import contextlib
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from gateway.bench.server import Server, private_server
from gateway.bench.usage import Sampler, Usages, mean_usage

MODEL = "gateway.bench.doubles:InstantModel"
FRAMES_A_SECOND = 10
"""Of a session: ``scribewire bench`` sends 100 ms at a time."""
SETTLE_S = 8


def measured(
    checkouts: Sequence[Path], sessions: int, workers: int, seconds: float
) -> list[Usages | None]:
    """What the gateway of each takes while all of them are loaded."""
    with contextlib.ExitStack() as running:
        servers: list[Server] = []
        for checkout in checkouts:
            with contextlib.chdir(checkout):  # where the process takes its code from
                servers.append(running.enter_context(private_server(MODEL, workers)))
        loads = [
            running.enter_context(subprocess.Popen(
                [str(Path(sys.executable).with_name("scribewire")), "bench", "--url", server.url,
                 "--sessions", str(sessions), "--duration-s", str(2 * SETTLE_S + seconds)],
                stdout=subprocess.DEVNULL,
            ))
            for server in servers
        ]  # fmt: skip
        time.sleep(SETTLE_S)
        with contextlib.ExitStack() as watching:
            watches = [watching.enter_context(Sampler(server.pid)) for server in servers]
            began = time.monotonic()
            time.sleep(seconds)
        codes = [load.wait() for load in loads]
        if any(codes):
            sys.exit("a load could not be played; see the lines above")
    return [mean_usage(watch.samples, began, began + seconds) for watch in watches]


def main() -> None:
    """Prints a line for each checkout and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="a checkout of other code, such as a git worktree")
    parser.add_argument("--sessions", type=int, default=250)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20)
    wish = parser.parse_args()
    both = [Path.cwd(), wish.other.resolve()]
    if not (wish.other / "gateway").is_dir():  # or the installed code would be measured instead
        parser.error(f"there is no checkout in {wish.other}")
    for checkouts in (both, both[::-1]):
        usages = measured(checkouts, wish.sessions, wish.workers, wish.seconds)
        for checkout, usage in zip(checkouts, usages, strict=True):
            assert usage is not None
            frame_us = 1e6 / (wish.sessions * FRAMES_A_SECOND)
            print(
                f"{checkout}: {usage.gateway_cores * frame_us:.0f} µs of gateway a frame, "
                f"{usage.model_cores * frame_us:.0f} of model",
                flush=True,
            )


if __name__ == "__main__":
    main()
