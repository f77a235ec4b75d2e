"""What comes over a pipe is plain data, and no longer than its reader allows."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.pipe import WRITE_BEHIND_BYTES, Pipe

MOST = int(Path("/proc/sys/net/core/wmem_max").read_text())
"""Bytes that Linux lets a socket hold for its reader."""


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


async def test_a_batch_is_given_to_the_kernel_in_one_piece() -> None:
    """As far as the kernel lets it: what is left waits for the event loop."""
    ours, theirs = socket.socketpair()
    pipe = await Pipe.over(ours)
    room = ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    assert room == 2 * min(MOST, WRITE_BEHIND_BYTES), "Linux doubles it, for its own needs"

    pipe.close()
    theirs.close()
    await pipe.wait_closed()
