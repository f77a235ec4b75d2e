"""What a frame of audio costs this code and another checkout of it, both at the same time.

``python -m tests.measure_beside OTHER_CHECKOUT [--sessions 250] [--workers 1] [--seconds 20]``

``scribewire bench`` of each with a gateway of its own and a model that answers at once. A machine
that is shared is a fifth faster or slower from one minute to the next; these two have the same
minutes, and change places for a second run. Sessions and processes are of each of the two: the
cores must not be full.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.bench.server import START

MODEL = "gateway.bench.doubles:InstantModel"
FRAMES_A_SECOND = 10
"""Of a session: ``scribewire bench`` sends 100 ms at a time."""


def reports(checkouts: Sequence[Path], options: Sequence[str]) -> list[dict[str, Any]]:
    """What the bench of each says while all of them are loaded."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{i}.json" for i in range(len(checkouts))]
        runs = [
            subprocess.Popen(
                [sys.executable, "-c", START, "bench", "--json", file, *options],
                cwd=checkout,  # where it and its gateway take their code from
                stdout=subprocess.DEVNULL,
            )
            for checkout, file in zip(checkouts, files, strict=True)
        ]
        for run in runs:
            run.wait()  # with another code than 0 where a figure of latency is void
        return [json.loads(file.read_text()) for file in files]


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
    options = [
        "--model", MODEL, "--sessions", str(wish.sessions), "--workers", str(wish.workers),
        "--duration-s", str(wish.seconds),
    ]  # fmt: skip
    frame_us = 1e6 / (wish.sessions * FRAMES_A_SECOND)
    for checkouts in (both, both[::-1]):
        for checkout, found in zip(checkouts, reports(checkouts, options), strict=True):
            usage = found["usage"]
            print(
                f"{checkout}: {usage['gateway_cores'] * frame_us:.0f} µs of gateway a frame, "
                f"{usage['model_cores'] * frame_us:.0f} of model",
                flush=True,
            )


if __name__ == "__main__":
    main()
