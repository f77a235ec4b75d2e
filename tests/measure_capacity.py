"""What one session, one viewer and one handshake cost: the figures `deploy.capacity` starts from.

``python -m tests.measure_capacity``, some three minutes; nothing else should run meanwhile.

Steps of the embedded model by length of audio, alone on the machine and with all lanes at work;
when the shipped recording has segments and pauses; bytes of a session and of a viewer (payloads of
the WebSocket's messages, without TLS, TCP and IP); memory and processor time of the gateway for
sessions, viewers, handshakes and sessions that come back. The gateway is a process of its own, and
only its own time and memory count, not the model's.
"""

import asyncio
import json
import os
import resource
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
from websockets.asyncio.client import ClientConnection, connect

from engine.messages import SAMPLE_RATE, Audio, SegmentKey, Step
from engine.models.moonshine import Moonshine
from engine.segment import StreamOptions
from engine.segmenter import Segmenter
from engine.vad import VoiceDetector
from gateway.audio import decode_file
from gateway.bench.server import Server, private_server
from tests.speech import speech

LENGTHS_S = (1, 2, 4, 8, 16, 28)
SPENT_S = 4.0
"""On each figure of a step, about."""
INSTANT = "gateway.bench.doubles:InstantModel"
FRAME = SAMPLE_RATE // 10
SESSIONS, VIEWERS, REPLAYED_S = 500, 1000, 5
AT_ONCE = 64


def partial_and_final(model: Moonshine, audio: Audio, seconds: int) -> tuple[Step, Step]:
    """The step that a segment so long takes in passing, and the one that it ends with."""
    whole = audio[: seconds * SAMPLE_RATE]
    final = Step(SegmentKey("measured", seconds), whole, final=True)
    [before] = model.step([Step(SegmentKey("measured", seconds), whole[: -2 * SAMPLE_RATE])])
    forced = before.tokens[:-5] if seconds > 4 else ()
    draft = before.tokens[len(forced) :] if seconds > 2 else ()
    return Step(SegmentKey("measured", seconds), whole, forced, draft), final


def seconds_a_step(model: Moonshine, step: Step, lanes: int) -> float:
    """The median, while so many lanes take such steps."""
    took: list[float] = []
    until = time.perf_counter() + SPENT_S

    def work() -> None:
        while (began := time.perf_counter()) < until:
            model.step([step])
            took.append(time.perf_counter() - began)

    threads = [threading.Thread(target=work) for _ in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return float(np.median(took))


def print_steps(audio: Audio) -> None:
    """Milliseconds of a step by its audio."""
    model = Moonshine()
    model.warm_up()
    lanes = model.info.lanes
    for seconds in LENGTHS_S:
        row = [
            1000 * seconds_a_step(model, step, side_by_side)
            for step in partial_and_final(model, audio, seconds)
            for side_by_side in (1, lanes)
        ]
        print(
            f"a step of {seconds:2} s: partial {row[0]:.1f} ms alone, {row[1]:.1f} beside "
            f"{lanes - 1} more; final {row[2]:.1f} and {row[3]:.1f}",
            flush=True,
        )


@dataclass
class Talk:
    """When a recording has segments, in seconds; when finals are begun in its pauses, and until
    when speech has not gone on."""

    segments: list[tuple[float, float]] = field(default_factory=list)
    begun: list[tuple[float, float]] = field(default_factory=list)


def talk(audio: Audio) -> Talk:
    """Segments by the detector, with the default options."""
    cut, detector, found = Segmenter(StreamOptions()), VoiceDetector(), Talk()
    cut.pcm.append(np.concatenate([audio, np.zeros(SAMPLE_RATE, np.float32)]))
    speculated: int | None = None
    while cut.waiting:
        frames = cut.frames()
        for at in range(0, len(frames), 512):
            frame = frames[at : at + 512]
            cut.hear(detector.listen([frame], [cut.vad])[0], len(frame))
            now = cut.open.speculative_end if cut.open else None
            if speculated is not None and now != speculated:
                found.begun.append((speculated / SAMPLE_RATE, cut.clock / SAMPLE_RATE))
            speculated = now
        for segment in cut.closed:
            found.segments.append((segment.start / SAMPLE_RATE, (segment.end or 0) / SAMPLE_RATE))
        cut.closed.clear()
    return found


async def print_bytes(url: str, audio: Audio) -> None:
    """Bytes of the payloads of one session in real time, and of a viewer of its room."""
    pcm = (audio * 32_767).astype("<i2").tobytes()
    down: dict[str, list[int]] = {}
    watched = 0

    async def watch(socket: ClientConnection) -> None:
        nonlocal watched
        async for message in socket:
            watched += len(message)

    room = connect(f"{url}/v1/rooms/measured", compression=None)
    speaker = connect(f"{url}/v1/stream?publish=measured", compression=None)
    async with room as viewer, speaker as socket:
        watching = asyncio.create_task(watch(viewer))

        async def listen() -> None:
            async for message in socket:
                down.setdefault(json.loads(message)["type"], []).append(len(message))

        listening = asyncio.create_task(listen())
        began = time.monotonic()
        for i, at in enumerate(range(0, len(pcm), 2 * FRAME)):
            await socket.send(pcm[at : at + 2 * FRAME])
            await asyncio.sleep(max(0.0, began + 0.1 * (i + 1) - time.monotonic()))
        await socket.send('{"type": "stop"}')
        await listening
        await asyncio.sleep(0.5)
        watching.cancel()
    spent = len(audio) / SAMPLE_RATE
    sizes = {kind: (len(each), round(np.mean(each))) for kind, each in down.items()}
    total, messages = sum(map(sum, down.values())), sum(map(len, down.values()))
    print(
        f"one session, {spent:.0f} s: up {len(pcm) / spent:.0f} B/s as PCM in 10 frames a second; "
        f"down {total / spent:.0f} B/s in {messages / spent:.2f} messages a second: {sizes}; "
        f"a viewer {watched / spent:.0f} B/s",
        flush=True,
    )


async def side_by_side(work: Callable[[int], Awaitable[Any]], count: int) -> list[Any]:
    """Results of ``count`` pieces of work, `AT_ONCE` at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(i: int) -> Any:
        async with gate:
            return await work(i)

    return await asyncio.gather(*(one(i) for i in range(count)))


class Meter:
    """Time and memory of a gateway's process since the last look."""

    def __init__(self, server: Server) -> None:
        assert server.pid is not None
        self._process = psutil.Process(server.pid)
        self.restart()

    def restart(self) -> None:
        """Counts from now on."""
        self._began, self._before = time.monotonic(), self._state()

    def _state(self) -> tuple[float, int]:
        times = self._process.cpu_times()
        return times.user + times.system, self._process.memory_info().rss

    def read(self, what: str, count: int) -> None:
        """Prints what ``count`` of them cost."""
        (cpu, rss), wall = self._state(), time.monotonic() - self._began
        cpu, rss = cpu - self._before[0], rss - self._before[1]
        print(
            f"{what}: {count} in {wall:.2f} s, {1e3 * cpu / count:.2f} ms of processor time each "
            f"({count / cpu:.0f} a second for a core), {rss / count / 1024:.0f} KiB each",
            flush=True,
        )
        self.restart()


Known = dict[str, str]


async def begin(url: str, audio: bytes) -> tuple[ClientConnection, Known]:
    """A session that has said `REPLAYED_S` of speech, and how to come back to it."""
    socket = await connect(f"{url}/v1/stream", compression=None)
    ready = json.loads(await socket.recv())
    await socket.send(audio)
    while json.loads(await socket.recv())["type"] != "speech_started":
        pass
    known = {name: str(ready[name]) for name in ("session", "resume", "epoch")}
    return socket, known | {"last_seq": "0"}


async def come_back(url: str, known: Known, audio: bytes) -> ClientConnection:
    """Connects again, and sends what the gateway says it has not."""
    query = "&".join(f"{name}={value}" for name, value in known.items())
    socket = await connect(f"{url}/v1/stream?{query}&from_sample=0", compression=None)
    ready = json.loads(await socket.recv())
    if not ready["resumed"]:
        await socket.send(audio)
        while json.loads(await socket.recv())["type"] != "speech_started":
            pass
    return socket


async def print_connections(audio: Audio) -> None:
    """Handshakes, sessions that come back to the same gateway or another, viewers."""
    speech_bytes = (audio[: REPLAYED_S * SAMPLE_RATE] * 32_767).astype("<i2").tobytes()
    with private_server(INSTANT) as server:
        url, meter = server.url, Meter(server)

        async def shake(i: int) -> None:
            socket = await connect(f"{url}/v1/stream", compression=None)
            await socket.recv()
            socket.transport.abort()

        await side_by_side(shake, 200)
        await asyncio.sleep(1)
        meter.restart()
        await side_by_side(shake, 2000)
        meter.read("a new session and its abort", 2000)
    with private_server(INSTANT) as server:
        url, meter = server.url, Meter(server)
        begun = await side_by_side(lambda i: begin(url, speech_bytes), SESSIONS)
        await asyncio.sleep(1)
        meter.read(f"a session with {REPLAYED_S} s of open speech", SESSIONS)
        for socket, _ in begun:
            socket.transport.abort()
        await asyncio.sleep(1)
        meter.restart()
        back = await side_by_side(lambda i: come_back(url, begun[i][1], b""), SESSIONS)
        meter.read("coming back to a session that is kept", SESSIONS)
        with private_server(INSTANT) as other:
            another = Meter(other)
            await side_by_side(lambda i: come_back(other.url, begun[i][1], speech_bytes), SESSIONS)
            another.read(f"coming back to another gateway, with {REPLAYED_S} s", SESSIONS)
        for socket in back:
            socket.transport.abort()
        meter.restart()
        room = f"{url}/v1/rooms/measured"
        viewers = await side_by_side(lambda i: connect(room, compression=None), VIEWERS)
        meter.read("a viewer", VIEWERS)
        for viewer in viewers:
            viewer.transport.abort()


def main() -> None:
    """Prints all figures."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.environ["SCRIBEWIRE_MAX_CADENCE_MS"] = "1000000"
    audio = decode_file(speech("two_cities.wav"))
    print_steps(audio)
    said = talk(audio)
    print("segments:", [(round(a, 2), round(b, 2)) for a, b in said.segments])
    print("finals begun:", [(round(a, 2), round(b, 2)) for a, b in said.begun], flush=True)
    with private_server(None) as server:
        asyncio.run(print_bytes(server.url, audio))
    asyncio.run(print_connections(audio))


if __name__ == "__main__":
    main()
