"""Sessions that come and go over a bad network, and a model that is killed: does anything stay?

``python -m tests.soak [--minutes 30]``

Each session speaks a different part of a recording, through a proxy that delays and cuts, and must
end with the transcript of its twin, which is spoken undisturbed. The model's process is killed
again and again. At the end no task, thread or descriptor is left that was not there after the first
tenth, and memory has not grown. Gateway and proxy are this process, the clients another: what
clients leave to the garbage collector is not the gateway's.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import random
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import psutil

from gateway.client import SessionError, Transcript, connect, transcribe_pcm
from gateway.log import configure_logging
from gateway.server import run_in_background
from gateway.settings import Settings
from tests.chaos import Chaos, chaos
from tests.speech import speech_at

MODEL = "tests.engine.models.doubles:DigestModel"
RATE = 16_000
PARTS = 8
PART_S = 5.0
AT_ONCE = 6
KILLS_A_CUT = 0.05
"""The model's process dies every nine seconds or so."""
MOST_GROWTH_BYTES = 30_000_000


@dataclass
class Said:
    """What the clients heard."""

    sessions: int = 0
    wrong: int = 0
    """Whose transcript was another than their twin's."""


@dataclass
class Figures:
    """What came of it."""

    sessions: int = 0
    wrong: int = 0
    cuts: int = 0
    kills: int = 0
    early: dict[str, int] = field(default_factory=dict)
    late: dict[str, int] = field(default_factory=dict)


def parts() -> list[bytes]:
    """What is spoken: pcm_s16le."""
    whole = speech_at("two_cities.wav", RATE)
    size = int(PART_S * RATE)
    return [whole[at * size : (at + 1) * size].tobytes() for at in range(PARTS)]


def finals(transcript: Transcript) -> list[tuple[Any, ...]]:
    """What must not differ."""
    return [(f["segment"], f["text"], f["start_ms"], f["end_ms"]) for f in transcript.finals]


async def speak(url: str, pcm: bytes) -> list[tuple[Any, ...]]:
    while True:
        try:
            async with connect(url) as session:
                return finals(await transcribe_pcm(session, pcm, bytes_per_second=2 * RATE))
        except SessionError as error:
            if error.code != "connection_lost":  # before the session stood: nothing was said
                raise


async def come_and_go(
    url: str, twins: list[list[tuple[Any, ...]]], said: Said, until: float, seed: int
) -> None:
    luck, spoken = random.Random(seed), parts()
    while time.monotonic() < until:
        part = luck.randrange(PARTS)
        said.wrong += await speak(url, spoken[part]) != twins[part]
        said.sessions += 1


async def leave_without_a_word(url: str, until: float) -> None:
    """Clients that never come back: what they leave is forgotten."""
    pcm, luck = parts()[0], random.Random(0)
    while time.monotonic() < until:
        with suppress(Exception):
            async with connect(url, reconnect_s=0) as session:
                await session.send(pcm[: 2 * RATE])
        await asyncio.sleep(luck.uniform(0, 0.3))


async def _speak_all(undisturbed: str, disturbed: str, pipe: Connection) -> None:
    twins = [await speak(undisturbed, part) for part in parts()]
    pipe.send(None)
    while seconds := await asyncio.to_thread(pipe.recv):
        said, until = Said(), time.monotonic() + seconds
        await asyncio.gather(
            *(come_and_go(disturbed, twins, said, until, seed) for seed in range(AT_ONCE)),
            leave_without_a_word(disturbed, until),
        )
        pipe.send(said)


def _clients(undisturbed: str, disturbed: str, pipe: Connection) -> None:
    asyncio.run(_speak_all(undisturbed, disturbed, pipe))


async def strike(network: Chaos, figures: Figures) -> None:
    """Cuts connections, and kills the model's process."""
    while True:
        await asyncio.sleep(network.random.uniform(0.1, 0.8))
        network.cut()
        if network.random.random() < KILLS_A_CUT:
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):  # the last one killed may still be listed
                    if "engine.runner_child" in " ".join(child.cmdline()):
                        child.kill()
                        figures.kills += 1


def held() -> dict[str, int]:
    """What this process, which is gateway and proxy, holds."""
    process = psutil.Process()
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "descriptors": process.num_fds(),
        "bytes": process.memory_info().rss,
    }


@asynccontextmanager
async def bad_network() -> AsyncIterator[tuple[str, Chaos]]:
    settings = Settings(port=0, runner="process", model=MODEL, resume_window_s=2.0)
    async with (
        run_in_background(settings) as url,
        chaos(url, jitter_s=0.002, seed=1) as network,
    ):
        yield url, network


async def disturb(network: Chaos, clients: Connection, figures: Figures, seconds: float) -> None:
    clients.send(seconds)
    striking = asyncio.create_task(strike(network, figures))
    said: Said = await asyncio.to_thread(clients.recv)
    striking.cancel()
    figures.sessions += said.sessions
    figures.wrong += said.wrong
    network.cut()
    await asyncio.sleep(4)  # longer than sessions are kept


async def soak(seconds: float) -> Figures:
    """Runs for about so long; the first tenth is for everything to find its size."""
    figures = Figures()
    context = multiprocessing.get_context("spawn")
    clients, theirs = context.Pipe()
    async with bad_network() as (url, network):
        child = context.Process(target=_clients, args=(url, network.url, theirs), daemon=True)
        child.start()
        await asyncio.to_thread(clients.recv)
        await disturb(network, clients, figures, max(4, min(60, seconds / 10)))
        figures.early = held()
        await disturb(network, clients, figures, seconds)
        figures.late = held()
        figures.cuts = network.cuts
        clients.send(0)
        await asyncio.to_thread(child.join)
    return figures


def check(figures: Figures) -> None:
    """
    Raises:
        AssertionError: a transcript was another's than its twin's, or something stayed.
    """
    assert figures.sessions
    assert figures.cuts
    assert figures.kills
    assert figures.wrong == 0, figures
    for name in ("tasks", "threads", "descriptors"):
        assert figures.late[name] <= figures.early[name] + 2, (name, figures)
    assert figures.late["bytes"] - figures.early["bytes"] < MOST_GROWTH_BYTES, figures


def main() -> None:
    """Prints the figures; fails if anything was wrong."""
    configure_logging(Settings(log_level="error"))
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30.0)
    figures = asyncio.run(soak(parser.parse_args().minutes * 60))
    print(json.dumps(vars(figures), indent=2))
    check(figures)


if __name__ == "__main__":
    main()
