"""What eight sessions notice of a neighbour who misbehaves: chunk to partial, with and without.

Run it as ``python -m tests.measure_neighbours [--seconds 30]``.

One gateway process with a model that answers at once, so that the wait is the gateway's own; the
eight are played by ``scribewire bench``, the neighbour by a process of its own. The quiet run is
repeated at the end: what two quiet runs differ by is what a difference has to exceed. The neighbour
takes a core for itself, so it needs a third one for figures of the gateway alone.
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from gateway.bench.server import private_server
from tests.aborts import conversation, vanish
from tests.malformed import A_CONNECTION, MAKERS

MODEL = "gateway.bench.doubles:InstantModel"
SESSIONS = 8
CHUNK_MS = 500
SECOND = bytes(32_000)
PING = json.dumps({"type": "ping", "id": "x" * 128})


async def malformed(url: str) -> None:
    """Four clients that send what no client should, as fast as it is read."""
    luck = random.Random(1)

    async def one() -> None:
        while True:
            with suppress(ConnectionClosed):
                async with connect(f"{url}/v1/stream", compression=None) as socket:
                    for _ in range(A_CONNECTION):
                        await socket.send(luck.choice(MAKERS)(luck))

    await asyncio.gather(*(one() for _ in range(4)))


async def too_fast(url: str) -> None:
    """One that sends audio as fast as it can, and comes back when it is closed."""
    while True:
        with suppress(ConnectionClosed):
            async with connect(f"{url}/v1/stream", compression=None) as socket:
                while True:
                    await socket.send(SECOND)


async def too_slow(url: str) -> None:
    """One that asks and never reads, and comes back when it is closed."""
    while True:
        with suppress(ConnectionClosed, TimeoutError):
            async with connect(
                f"{url}/v1/stream", compression=None, max_queue=1, close_timeout=0.1
            ) as socket:
                while True:
                    await socket.send(PING)


async def vanishing(url: str) -> None:
    """Clients that end at any byte of a conversation."""
    luck, said = random.Random(1), conversation()
    while True:
        await vanish(url, said, luck)


async def knocking(url: str) -> None:
    """Handshakes that are refused."""
    while True:
        with suppress(InvalidHandshake):
            async with connect(f"{url}/v1/stream?language=xx", compression=None):
                pass


NEIGHBOURS: dict[str, Callable[[str], Coroutine[Any, Any, None]]] = {
    "malformed": malformed,
    "too fast": too_fast,
    "too slow": too_slow,
    "vanishing": vanishing,
    "knocking": knocking,
}


def _be(name: str, url: str) -> None:
    asyncio.run(NEIGHBOURS[name](url))


def measured(url: str, seconds: float, folder: Path) -> dict[str, Any]:
    """Chunk to partial of the eight, in ms, as ``scribewire bench`` reports it."""
    report = folder / "report.json"
    subprocess.run(
        [
            str(Path(sys.executable).with_name("scribewire")), "bench",
            "--sessions", str(SESSIONS), "--chunk-ms", str(CHUNK_MS),
            "--duration-s", str(seconds), "--warm-up-s", "3", "--url", url, "--json", report,
        ],
        check=False, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    result: dict[str, Any] = json.loads(report.read_text())
    return result


def main() -> None:
    """Prints a line for each neighbour."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--only", choices=NEIGHBOURS)
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    print(f"{'neighbour':<12} {'p50':>6} {'p95':>6} {'p99':>6} ms  {'gateway CPU':>12}  {'MB':>6}")
    with tempfile.TemporaryDirectory() as folder, private_server(MODEL) as server:
        process = psutil.Process(server.pid)
        for name in ("nobody", *([arguments.only] if arguments.only else NEIGHBOURS), "nobody"):
            neighbour = None
            if name != "nobody":
                neighbour = context.Process(target=_be, args=(name, server.url), daemon=True)
                neighbour.start()
            before, began = process.cpu_times(), time.monotonic()
            result = measured(server.url, arguments.seconds, Path(folder))
            after, took = process.cpu_times(), time.monotonic() - began
            if neighbour is not None:
                neighbour.kill()
                neighbour.join()
            cpu = (after.user + after.system - before.user - before.system) / took
            waits = result["chunk_to_partial_ms"]
            print(
                f"{name:<12} {waits['p50']:6.1f} {waits['p95']:6.1f} {waits['p99']:6.1f}     "
                f"{cpu:12.2f}  {process.memory_info().rss / 1e6:6.1f}"
                f"{'  void: ' + '; '.join(result['void']) if result['void'] else ''}",
                flush=True,
            )


if __name__ == "__main__":
    main()
