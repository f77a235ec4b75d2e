"""A running `scribewire serve --workers 2`, and ways to reach either of its processes."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from gateway.access.keys import add_key
from gateway.settings import Settings
from tests.conftest import Server
from tests.gateway.dialing import dial

ROOT = Path(__file__).parents[2]
DIGESTS = "tests.engine.models.doubles:DigestModel"
WITHIN_S = 30
WORKER = "gateway.worker_process"


class Gateways:
    """A running `scribewire serve --workers 2`."""

    def __init__(self, process: "subprocess.Popen[str]", keys: Path, log: Path) -> None:
        self.process, self.keys, self._log = process, keys, log
        self.key = add_key(keys, "tester", None, None)
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+?(?=/\s)", line)
        assert found is not None, line + log.read_text()
        self.server = Server("ws" + found[0].removeprefix("http"), Settings())

    @property
    def logged(self) -> list[dict[str, Any]]:
        """Lines of the log."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def pids(self, module: str) -> list[int]:
        """Processes that run a module, oldest first."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):  # it may just have ended
                if module in child.cmdline():
                    found.append(child.pid)
        return found

    def dial(self, query: str = "", key: str | None = None, **options: Any) -> Any:
        """A bare WebSocket with a key."""
        return dial(self.server, query, additional_headers=self.bearer(key), **options)

    def bearer(self, key: str | None = None) -> dict[str, str]:
        """The header with a key."""
        return {"Authorization": f"Bearer {key or self.key}"}

    async def reach(self, pid: int) -> socket.socket:
        """A connection that the kernel gave to that process; nothing was said over it yet."""
        port = int(self.server.ws.rsplit(":", 1)[1])
        async with asyncio.timeout(WITHIN_S):
            while True:
                connection = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", port))
                if await self._owner(connection.getsockname()[1]) == pid:
                    return connection
                connection.close()

    async def _owner(self, port: int) -> int | None:
        """The process that accepted a connection of ours; None: one that just died."""
        for _ in range(100):
            for pid in self.pids(WORKER):
                with suppress(psutil.Error):
                    if any(
                        each.raddr and each.raddr.port == port
                        for each in psutil.Process(pid).net_connections("tcp")
                    ):
                        return pid
            await asyncio.sleep(0.02)
        return None

    async def dial_to(self, pid: int, query: str = "", **options: Any) -> Any:
        """A bare WebSocket to that process."""
        return await self.dial(query, sock=await self.reach(pid), **options)

    @asynccontextmanager
    async def ask(self, pid: int, path: str) -> AsyncIterator[asyncio.StreamReader]:
        """The answer's header and body, from that process."""
        reader, writer = await asyncio.open_connection(sock=await self.reach(pid))
        header = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        writer.write(f"{header}Authorization: Bearer {self.key}\r\n\r\n".encode())
        try:
            yield reader
        finally:
            writer.close()
            await writer.wait_closed()

    async def get(self, pid: int, path: str) -> tuple[int, str]:
        """Status and body of that process's answer."""
        async with self.ask(pid, path) as reader, asyncio.timeout(WITHIN_S):
            header, body = (await reader.read()).decode().split("\r\n\r\n", 1)
        return int(header.split()[1]), body

    def metric(self, name: str) -> float:
        """As any of the processes shows it."""
        return self.server.metric(name)

    async def kill(self, module: str) -> None:
        """Kills each process that runs a module, and waits until all have successors."""
        await self.kill_each(self.pids(module), module)

    async def kill_each(self, pids: list[int], module: str = WORKER) -> None:
        """The same, of these processes."""
        before = set(self.pids(module))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(WITHIN_S):
            while len(set(self.pids(module)) - before) < len(pids):
                await asyncio.sleep(0.05)


@contextmanager
def two_gateways(folder: Path) -> Iterator[Gateways]:
    keys, log = folder / "keys.json", folder / "log"
    add_key(keys, "first", None, None)
    arguments = ["--workers", "2", "--port", "0", "--model", DIGESTS, "--keys-file", str(keys)]
    environment = {n: v for n, v in os.environ.items() if not n.startswith("SCRIBEWIRE_")}
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            [Path(sys.prefix) / "bin" / "scribewire", "serve", *arguments],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True,
        ) as process,
    ):  # fmt: skip
        try:
            running = Gateways(process, keys, log)
            process.send_signal(signal.SIGHUP)  # `tester` was added after the start
            deadline = time.monotonic() + WITHIN_S
            while [line["event"] for line in running.logged].count("keys_reloaded") < 2:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield running
        finally:
            process.kill()
