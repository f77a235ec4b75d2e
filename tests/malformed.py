"""Messages that no client should send, to a running server: does it crash, or grow?

``python -m tests.malformed [--messages 100000]``

Over many connections, in all protocols, beside a session that must not notice any of it. One answer
is awaited at the end of each connection, which shows that it was read to there.
"""

import argparse
import asyncio
import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

import msgpack
import psutil
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateway.client import connect as open_session
from gateway.client import transcribe_pcm
from gateway.log import configure_logging
from gateway.server import run_in_background
from gateway.settings import Settings
from tests.speech import pcm16

MODEL = "tests.engine.models.doubles:OneWordASecondModel"
A_CONNECTION = 100
AT_ONCE = 8
MOST_GROWTH_BYTES = 10_000_000
VALUES = (None, True, -1, 2**70, 1e308, "", "\ud800", "x" * 300, [], [[]], {}, {"type": {}})
TYPES = (
    "audio", "configure", "finalize", "ping", "stop ", "ready", "", None, 7,
    "session.update", "input_audio_buffer.append", "input_audio_buffer.commit",
    "KeepAlive", "Finalize", "Configure",
)  # fmt: skip
PATHS: dict[str, str | bytes] = {
    "/v1/stream?format=json": '{"type": "stop"}',
    "/v1/stream?format=msgpack": msgpack.packb({"type": "stop"}),
    "/v1/realtime?intent=transcription": '{"type": "input_audio_buffer.clear"}',
    "/v1/listen?encoding=linear16&sample_rate=16000": '{"type": "CloseStream"}',
}
"""Of each protocol, and a message that is answered."""
FIELDS = (
    "id",
    "pcm",
    "language",
    "chunk_ms",
    "context",
    "session",
    "resume",
    "words",
    "audio",
    "session",
    "__class__",
)


@dataclass
class Figures:
    """What came of it."""

    messages: int = 0
    answers: int = 0
    connections: int = 0
    canary: str = ""
    grown_bytes: int = 0


def _map(luck: random.Random) -> dict[str, object]:
    fields = {luck.choice(FIELDS): luck.choice(VALUES) for _ in range(luck.randrange(4))}
    return {"type": luck.choice(TYPES), **fields}


def _json(luck: random.Random) -> str:
    return json.dumps(_map(luck)).replace("\\ud800", "?")


def _broken_json(luck: random.Random) -> str:
    text = _json(luck)
    at = luck.randrange(len(text))
    return text[:at] + luck.choice(['"', "{", "}", "\0", "NaN", "[" * 200]) + text[at + 1 :]


def _noise(luck: random.Random) -> bytes:
    return luck.randbytes(luck.randrange(200))


def _msgpack(luck: random.Random) -> bytes:
    packed: bytes = msgpack.packb({"type": luck.choice(TYPES), "id": luck.choice(VALUES[:1])})
    return packed[: luck.randrange(len(packed)) + 1]


def _headers(luck: random.Random) -> bytes:
    """Containers that announce far more than comes."""
    return struct.pack(">BI", luck.choice((0xDD, 0xDF, 0xC6, 0xDB)), luck.getrandbits(32)) * 20


MAKERS: tuple[Callable[[random.Random], str | bytes], ...] = (
    _json, _broken_json, _noise, _msgpack, _headers,
)  # fmt: skip


async def _pester(url: str, figures: Figures, messages: int, seed: int) -> None:
    luck = random.Random(seed)
    while figures.messages < messages:
        path, last = luck.choice([*PATHS.items()])
        figures.connections += 1
        async with connect(f"{url}{path}", compression=None) as socket:
            try:
                for _ in range(A_CONNECTION):
                    await socket.send(luck.choice(MAKERS)(luck))
                    figures.messages += 1
                await socket.send(last)
                async for answer in socket:
                    figures.answers += 1
                    if "input_audio_buffer.cleared" in str(answer):
                        break  # this protocol has no end but the client's
            except ConnectionClosed:
                continue  # too much at once


async def _canary(url: str) -> str:
    pcm, rate = pcm16("beckett.wav")
    async with open_session(url, sample_rate=rate) as session:
        return (await transcribe_pcm(session, pcm, bytes_per_second=2 * rate)).text


async def pester(messages: int) -> Figures:
    """Sends so many."""
    figures = Figures()
    settings = Settings(port=0, runner="thread", model=MODEL, max_messages_per_s=10**6)
    async with run_in_background(settings) as url:
        expected = await _canary(url)
        await _all(url, figures, messages // 5)  # for everything to find its size
        before = psutil.Process().memory_info().rss
        _, figures.canary = await asyncio.gather(_all(url, figures, messages), _canary(url))
        assert figures.canary == expected
        figures.grown_bytes = psutil.Process().memory_info().rss - before
    return figures


async def _all(url: str, figures: Figures, messages: int) -> None:
    await asyncio.gather(*(_pester(url, figures, messages, seed) for seed in range(AT_ONCE)))


def main() -> None:
    """Prints the figures; fails if the server did, or grew."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=100_000)
    configure_logging(Settings(log_level="error"))
    figures = asyncio.run(pester(parser.parse_args().messages))
    print(json.dumps(vars(figures), indent=2))
    assert figures.grown_bytes < MOST_GROWTH_BYTES, "memory grew"


if __name__ == "__main__":
    main()
