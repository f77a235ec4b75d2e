"""Plays a load from processes of its own, all by one schedule."""

import asyncio
import multiprocessing
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from websockets.uri import parse_uri

from gateway.bench.client import Client, RefusedError, SessionLog, audio_frames
from gateway.bench.pacer import Pacer
from gateway.bench.plan import Load

CONNECT_AT_ONCE = 32
CONNECT_WITHIN_S = 30.0
HEAD_START_S = 0.5
"""From the last session that is ready to the first sample: all processes must know by then."""


class LoadError(Exception):
    """The load could not be played. The message is one sentence."""


def play(load: Load, processes: int) -> tuple[float, list[SessionLog]]:
    """Plays it; when it began, by `time.monotonic`, and what came of each session.

    Raises:
        LoadError: a session was refused, or a process of ours died.
    """
    with _started(load, processes) as children:
        for connection, _ in children:
            _answer(connection)
        began = time.monotonic() + HEAD_START_S
        for connection, _ in children:
            connection.send(began)
        logs = [log for connection, _ in children for log in _answer(connection)]
        return began, sorted(logs, key=lambda log: log.index)


@contextmanager
def _started(load: Load, processes: int) -> Iterator[list[tuple[Connection, SpawnProcess]]]:
    context = multiprocessing.get_context("spawn")
    children = []
    try:
        for share in load.shares(processes):
            ours, theirs = context.Pipe()
            child = context.Process(target=_main, args=(theirs, load, share), daemon=True)
            child.start()
            theirs.close()
            children.append((ours, child))
        yield children
    finally:
        for connection, child in children:
            connection.close()
            child.join(5)
            child.kill()


def _answer(connection: Connection) -> list[SessionLog]:
    try:
        answer: list[SessionLog] | str = connection.recv()
    except EOFError:
        raise LoadError("a process of the load generator died; see the lines above") from None
    if isinstance(answer, str):
        raise LoadError(answer)
    return answer


def _main(parent: Connection, load: Load, share: list[int]) -> None:
    """A process of the load generator."""
    import uvloop

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_play_share(parent, load, share))
    except (RefusedError, OSError, TimeoutError) as error:
        parent.send(f"a session could not be opened: {error or 'the server does not answer'}")
    except KeyboardInterrupt:
        pass


async def _play_share(parent: Connection, load: Load, share: list[int]) -> None:
    turns = len(load.tracks) * len(load.protocols)
    encoded = [
        audio_frames(load.track(i).frames(load.frame_ms), load.protocol(i)) for i in range(turns)
    ]
    gate = asyncio.Semaphore(CONNECT_AT_ONCE)

    async def opened(index: int) -> Client:
        async with gate, asyncio.timeout(CONNECT_WITHIN_S):
            return await _open(load, index, encoded[index % turns])

    clients = await asyncio.gather(*map(opened, share))
    parent.send([])
    began: float = await asyncio.to_thread(parent.recv)
    pacer = Pacer()
    for client in clients:
        client.begin(began + load.offset_s(client.log.index), pacer)
    ends = began + load.stagger_s + load.duration_s + load.linger_s
    await asyncio.wait(
        [client.over for client in clients], timeout=max(0.0, ends - time.monotonic())
    )
    for client in clients:
        client.give_up(f"not done {load.linger_s:.0f} s after the end of the audio")
    await asyncio.sleep(0)
    parent.send([client.log for client in clients])


async def _open(load: Load, index: int, frames: list[bytes]) -> Client:
    protocol = load.protocol(index)
    url = protocol.address(load.url, load.options)
    uri = parse_uri(url)
    log = SessionLog(index, load.frame_ms)
    _, client = await asyncio.get_running_loop().create_connection(
        lambda: Client(url, frames, load.frames, log, load.api_key, protocol),
        uri.host,
        uri.port,
        ssl=ssl.create_default_context() if uri.secure else None,
    )
    await client.ready
    return client
