"""A bad network: a TCP proxy that delays, jitters, is thin, writes in pieces, stalls and cuts."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

READ_BYTES = 16_384


@dataclass
class Chaos:
    """Made by `chaos`. Its fields may be changed at any time."""

    target: str
    """``ws://HOST:PORT`` of the server behind it; new connections go there."""
    seed: int = 0
    delay_s: float = 0.0
    """Before what was read is passed on, in both directions."""
    jitter_s: float = 0.0
    """At most so much more."""
    bytes_per_s: float | None = None
    """In each direction of each connection; None: no bound."""
    piece: int = READ_BYTES
    """Bytes written at a time; 1: byte by byte."""
    cut_after: tuple[int, int] | None = None
    """A new connection is cut when so many bytes have passed, in both directions together; the
    number is drawn from this range."""
    url: str = ""
    """Where it listens."""
    serving: int = 0
    """Connections now."""
    cuts: int = 0
    _links: "set[_Link]" = field(default_factory=set)
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._flowing.set()

    def cut(self) -> None:
        """Ends all connections without a word, as a lost network does."""
        for link in list(self._links):
            self._cut(link)

    def desert(self) -> None:
        """Ends all clients' connections, and lets the server believe that they stand."""
        for link in self._links:
            link.deserted = True
            link.near.transport.abort()

    def stall(self) -> None:
        """Passes nothing on, and ends nothing, until `flow`."""
        self._flowing.clear()

    def flow(self) -> None:
        """Undoes `stall`."""
        self._flowing.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        self.serving += 1
        try:
            await self._serve(reader, writer)
        finally:
            writer.transport.abort()
            self.serving -= 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to = urlsplit(self.target)
        try:
            far_reader, far_writer = await asyncio.open_connection(to.hostname, to.port)
        except OSError:
            return
        link = _Link(writer, far_writer, self.random.randint(*self.cut_after or (-1, -1)))
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(reader, far_writer, link))
                both.create_task(self._pass_on(far_reader, writer, link))
        finally:
            self._links.discard(link)
            link.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: "_Link"
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(READ_BYTES):
                await self._flowing.wait()
                if self.delay_s or self.jitter_s:
                    await asyncio.sleep(self.delay_s + self.random.random() * self.jitter_s)
                whole = len(data)
                if self.bytes_per_s:
                    await asyncio.sleep(whole / self.bytes_per_s)
                if link.left >= 0:
                    data, link.left = data[: link.left], max(0, link.left - whole)
                for at in range(0, len(data), self.piece):
                    writer.write(data[at : at + self.piece])
                    await writer.drain()
                if link.left == 0:
                    self._cut(link)
            if not link.deserted:
                writer.write_eof()
                return
        # Whoever it came from, or went to, broke off.
        if link.deserted:
            await link.over.wait()
        link.abort()

    def _cut(self, link: "_Link") -> None:
        self.cuts += not link.is_cut
        link.abort()


class _Link:
    """A client's connection and its continuation; ``left``: bytes until the cut, -1: no cut."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter, left: int) -> None:
        self.near, self.far, self.left = near, far, left
        self.is_cut = self.deserted = False
        self.over = asyncio.Event()

    def abort(self) -> None:
        self.is_cut = True
        self.over.set()
        self.near.transport.abort()
        self.far.transport.abort()


@asynccontextmanager
async def chaos(target: str, **fields: Any) -> AsyncIterator[Chaos]:
    """A proxy on a free port, with these fields."""
    network = Chaos(target, **fields)
    server = await asyncio.start_server(network.serve, "127.0.0.1", 0)
    network.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield network
    finally:
        server.close()
        network.flow()
        while network.serving:
            network.cut()
            await asyncio.sleep(0)
        await server.wait_closed()
