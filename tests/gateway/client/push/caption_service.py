"""A caption service that fails as real ones do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

LATE = "late"
"""The line is taken, but no answer comes while anybody waits for it."""
CUT = "cut"
"""The line is taken, and the connection breaks before the answer."""


@dataclass
class CaptionServiceDouble:
    """Answers as it is told, then well; keeps the first of what is posted under a number."""

    answers: list[int | str] = field(default_factory=list)
    last: int = -1
    """What it says was the last number."""
    tries: list[tuple[int, bytes]] = field(default_factory=list)
    taken: dict[int, bytes] = field(default_factory=dict)
    content_types: set[str] = field(default_factory=set)
    languages: list[str] = field(default_factory=list)
    port: int = 0
    _connections: dict["asyncio.Task[None] | None", asyncio.StreamWriter] = field(
        default_factory=dict
    )

    @property
    def url(self) -> str:
        """As the service gives it to its user."""
        return f"http://127.0.0.1:{self.port}/closedcaption?id=1&signature=secret%3D"

    async def until(self, count: int) -> None:
        """Waits for as many lines."""
        while len(self.taken) < count:
            await asyncio.sleep(0.005)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._connections[asyncio.current_task()] = writer
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    async def close(self) -> None:
        """Breaks all connections off."""
        for writer in self._connections.values():
            writer.transport.abort()
        await asyncio.gather(*filter(None, self._connections))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split(" ", 2)
        headers = dict(
            line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line
        )
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        url = urlsplit(target)
        query = parse_qs(url.query)
        assert query["signature"] == ["secret="]
        behaviour = self.answers.pop(0) if self.answers else 200
        if method == "POST":
            assert url.path == "/closedcaption"
            number = int(query["seq"][0])
            self.tries.append((number, body))
            self.content_types.add(headers["content-type"])
            self.languages += query.get("lang", [])
            if behaviour in (200, LATE, CUT):
                self.taken.setdefault(number, body)
        else:
            assert url.path == "/closedcaption/seq"
        if behaviour == CUT:
            writer.transport.abort()
            return False
        if behaviour == LATE:
            await reader.read()  # until nobody waits
            return False
        status = behaviour if isinstance(behaviour, int) else 200
        said = str(self.last).encode()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(said), said))
        await writer.drain()
        return True


@asynccontextmanager
async def caption_service(*answers: int | str) -> AsyncIterator[CaptionServiceDouble]:
    """One on a port of this machine."""
    service = CaptionServiceDouble(list(answers))
    running = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    service.port = running.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        running.close()
        await service.close()
        await running.wait_closed()
