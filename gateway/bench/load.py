"""Plays a load from processes of its own, all by one schedule."""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from gateway.bench.client import SessionLog
from gateway.bench.plan import Load
from gateway.bench.player import TROUBLE, Player

HEAD_START_S = 0.5
"""From the last session that is ready to the first sample: all processes must know by then."""
READY, OVER = "ready", "over"
Answer = SessionLog | str
"""A session that is over, `READY`, `OVER`, or why the load could not be played."""


class LoadError(Exception):
    """The load could not be played. The message is one sentence."""


@contextmanager
def playing(load: Load, processes: int) -> Iterator[tuple[float, Iterator[SessionLog]]]:
    """Plays it; when it began, by `time.monotonic`, and what came of each session, as they end.

    Raises:
        LoadError: of a load that begins together a session was refused, of another one the first;
            or a process of ours died. Also while logs are taken.
    """
    with _started(load, processes) as children:
        for child in children:
            answer = _answer(child)
            assert answer == READY
        began = time.monotonic() + HEAD_START_S
        for child in children:
            child.send(began)
        yield began, _logs(children)


def _logs(children: list[Connection]) -> Iterator[SessionLog]:
    left = list(children)
    while left:
        for child in wait(left):
            assert isinstance(child, Connection)
            answer = _answer(child)
            if isinstance(answer, SessionLog):
                yield answer
            else:
                left.remove(child)


@contextmanager
def _started(load: Load, processes: int) -> Iterator[list[Connection]]:
    context = multiprocessing.get_context("spawn")
    children: list[tuple[Connection, SpawnProcess]] = []
    try:
        for share in load.shares(processes):
            ours, theirs = context.Pipe()
            child = context.Process(target=_main, args=(theirs, load, share), daemon=True)
            child.start()
            theirs.close()
            children.append((ours, child))
        yield [connection for connection, _ in children]
        for _, child in children:
            child.join(5)
    finally:
        for connection, child in children:
            connection.close()
            child.kill()
            child.join()


def _answer(connection: Connection) -> Answer:
    try:
        answer: Answer = connection.recv()
    except EOFError:
        raise LoadError("a process of the load generator died; see the lines above") from None
    if isinstance(answer, str) and answer not in (READY, OVER):
        raise LoadError(answer)
    return answer


def _main(parent: Connection, load: Load, share: list[int]) -> None:
    """A process of the load generator."""
    import uvloop

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_play_share(parent, load, share))
    except TROUBLE as error:
        parent.send(f"a session could not be opened: {error or 'the server does not answer'}")
    except KeyboardInterrupt:
        pass


async def _play_share(parent: Connection, load: Load, share: list[int]) -> None:
    # A thread of its own: a parent that is busy must not keep anybody from speaking in time.
    with ThreadPoolExecutor(1) as sender:
        player = Player(load, lambda log: sender.submit(parent.send, log))
        if load.together:
            await player.connect(share)
        parent.send(READY)
        began: float = await asyncio.to_thread(parent.recv)
        await player.play(share, began)
    parent.send(OVER)
