"""Messages between processes of one machine: msgpack maps behind their length, over a socket.

No pickle: what a process reads can only be plain data.
"""

import asyncio
import contextlib
import socket
from typing import Any

from engine.messages import dumps, loads

LENGTH_BYTES = 4
READ_AHEAD_BYTES = WRITE_BEHIND_BYTES = 1 << 22
"""A batch's new audio is a few MB: read in one piece, not in sixty, and given to the kernel so. By
default that takes 208 kB at a time, which is the audio of three steps, and the next when the event
loop comes by again; with hundreds of sessions, ten milliseconds later."""


class Pipe:
    """One end. Whoever opened it trusts who is at the other: both are processes of ours."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        with contextlib.suppress(OSError):  # Linux gives what it may, `net.core.wmem_max`
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_SNDBUF, WRITE_BEHIND_BYTES
            )
        self.most_bytes = 1 << 8 * LENGTH_BYTES
        """Of a message: who sends a longer one counts as gone."""

    @classmethod
    async def over(cls, connection: socket.socket) -> "Pipe":
        """Over a connected socket, which it owns from now on."""
        return cls(*await asyncio.open_connection(sock=connection, limit=READ_AHEAD_BYTES))

    @classmethod
    async def to(cls, path: str) -> "Pipe":
        """To whoever listens at a Unix socket.

        Raises:
            OSError: nobody does.
        """
        return cls(*await asyncio.open_unix_connection(path, limit=READ_AHEAD_BYTES))

    def send(self, message: dict[str, Any]) -> None:
        """Queues a message."""
        data = dumps(message)
        self._writer.write(len(data).to_bytes(LENGTH_BYTES, "big"))
        self._writer.write(data)

    async def flushed(self) -> None:
        """Until little waits to be sent.

        Raises:
            OSError: the other end is gone.
        """
        await self._writer.drain()

    async def receive(self) -> dict[str, Any]:
        """The next message.

        Raises:
            OSError, asyncio.IncompleteReadError: the other end is gone.
        """
        length = int.from_bytes(await self._reader.readexactly(LENGTH_BYTES), "big")
        if length > self.most_bytes:
            raise ConnectionAbortedError(f"a message of {length} bytes")
        return loads(await self._reader.readexactly(length))

    def close(self) -> None:
        """The other end sees that this one is gone."""
        self._writer.close()

    async def wait_closed(self) -> None:
        """Until nothing of it is left."""
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
