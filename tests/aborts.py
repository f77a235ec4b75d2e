"""Clients that vanish at any byte of a conversation: does anything of them stay?

``python -m tests.aborts [--connections 10000]``

Each sends a handshake, audio, finalizes and a stop, up to a byte that is drawn, and then ends the
connection: with a reset, or as if it had said all. After a fifth of them the gateway is measured;
at the end it holds no more tasks, sessions and descriptors than then, and hardly more memory.
"""

import argparse
import asyncio
import json
import random
import re
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import psutil
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from gateway.log import configure_logging
from gateway.server import run_in_background
from gateway.settings import Settings
from tests.speech import speech_at

MODEL = "tests.engine.models.doubles:OneWordASecondModel"
AT_ONCE = 20
FRAME = 3200
MOST_GROWTH_BYTES = 5_000_000
RESUME_WINDOW_S = 0.5


@dataclass
class Figures:
    """What came of it."""

    connections: int = 0
    early: dict[str, float] = field(default_factory=dict)
    late: dict[str, float] = field(default_factory=dict)


def handshake(url: str) -> tuple[ClientProtocol, bytes]:
    client = ClientProtocol(parse_uri(f"{url}/v1/stream?chunk_ms=500"))
    client.send_request(client.connect())
    return client, b"".join(client.data_to_send())


def conversation() -> bytes:
    """The frames of a client that says all it has to say, masked as RFC 6455 wants."""
    speech = speech_at("beckett.wav", 16_000)[:32_000].tobytes()
    frames = ClientProtocol(parse_uri("ws://localhost/"))
    frames.state = frames.state.OPEN
    for at in range(0, len(speech), FRAME):
        frames.send_binary(speech[at : at + FRAME])
        if at % (8 * FRAME) == 0:
            frames.send_text(b'{"type": "finalize"}')
    frames.send_text(b'{"type": "stop"}')
    return b"".join(frames.data_to_send())


async def vanish(url: str, said: bytes, luck: random.Random) -> None:
    """One connection, to the byte where it ends."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    _, request = handshake(url)
    everything = request + said
    upto = luck.choice((luck.randrange(len(request)), luck.randrange(len(everything) + 1)))
    with suppress(ConnectionError):
        writer.write(everything[:upto])
        await writer.drain()
        if luck.random() < 0.5:  # it hears what the server has to say so far
            with suppress(TimeoutError):
                async with asyncio.timeout(luck.uniform(0, 0.02)):
                    await reader.read(1000)
        if luck.random() < 0.5:
            writer.transport.abort()
        else:
            writer.close()
            await writer.wait_closed()


async def vanish_often(url: str, figures: Figures, upto: int, seed: int) -> None:
    luck, said = random.Random(seed), conversation()
    while figures.connections < upto:
        figures.connections += 1
        await vanish(url, said, luck)


async def held(url: str) -> dict[str, float]:
    """What is there when all are forgotten."""
    async with httpx.AsyncClient(base_url=url.replace("ws", "http", 1), trust_env=False) as http:
        async with asyncio.timeout(30):
            while any((sessions := await _sessions(http)).values()):
                await asyncio.sleep(0.2)
    await asyncio.sleep(0.5)
    process = psutil.Process()
    return {
        **sessions,
        "tasks": len(asyncio.all_tasks()),
        "threads": process.num_threads(),
        "descriptors": process.num_fds(),
        "bytes": process.memory_info().rss,
    }


async def _sessions(http: httpx.AsyncClient) -> dict[str, float]:
    text = (await http.get("/metrics")).text
    found = re.findall(r"^(scribewire_sessions(?:_detached)?) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


async def vanish_all(connections: int) -> Figures:
    """So many, after a fifth of it for everything to find its size."""
    figures = Figures()
    settings = Settings(
        port=0, runner="thread", model=MODEL, resume_window_s=RESUME_WINDOW_S,
        max_sessions=10 * AT_ONCE,
    )  # fmt: skip
    async with run_in_background(settings) as url:
        await _together(url, figures, connections // 5)
        figures.early = await held(url)
        await _together(url, figures, connections)
        figures.late = await held(url)
    return figures


async def _together(url: str, figures: Figures, upto: int) -> None:
    seeds = range(figures.connections, figures.connections + AT_ONCE)
    await asyncio.gather(*(vanish_often(url, figures, upto, seed) for seed in seeds))


def check(figures: Figures) -> None:
    """
    Raises:
        AssertionError: something stayed.
    """
    early, late = figures.early, figures.late
    for name in ("scribewire_sessions", "scribewire_sessions_detached"):
        assert late[name] == 0, figures
    assert late["tasks"] <= early["tasks"], figures
    assert late["threads"] <= early["threads"] + 2, figures
    assert late["descriptors"] <= early["descriptors"] + 2, figures
    assert late["bytes"] - early["bytes"] < MOST_GROWTH_BYTES, figures


def main() -> None:
    """Prints the figures; fails if anything stayed."""
    configure_logging(Settings(log_level="error"))
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=10_000)
    figures = asyncio.run(vanish_all(parser.parse_args().connections))
    print(json.dumps(vars(figures), indent=2))
    check(figures)


if __name__ == "__main__":
    main()
