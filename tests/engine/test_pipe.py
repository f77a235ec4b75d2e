"""What comes over a pipe is plain data, and no longer than its reader allows."""

import socket
from collections.abc import AsyncIterator

import pytest

from engine.pipe import Pipe


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Pipe, Pipe]]:
    here, there = [await Pipe.over(each) for each in socket.socketpair()]
    yield here, there
    for end in (here, there):
        end.close()
        await end.wait_closed()


async def test_messages_arrive_whole_and_in_order(ends: tuple[Pipe, Pipe]) -> None:
    here, there = ends
    sent = [{"text": "x" * length, "audio": b"\0" * length} for length in (0, 1, 100_000)]
    for message in sent:
        here.send(message)

    assert [await there.receive() for _ in sent] == sent
    await here.flushed()


async def test_who_sends_too_much_counts_as_gone(ends: tuple[Pipe, Pipe]) -> None:
    here, there = ends
    there.most_bytes = 100
    here.send({"text": "x" * 80})
    assert await there.receive()

    here.send({"text": "x" * 100})
    with pytest.raises(OSError, match="bytes"):
        await there.receive()
