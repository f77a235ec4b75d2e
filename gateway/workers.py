"""``scribewire serve --workers N``: gateway processes that share port, model, rooms and metrics.

This process owns port, model, rooms and gateways, and serves nobody itself. Each gateway has a
socket of its own on the port, which is kept for its successor when it dies: who connects meanwhile
waits.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import structlog
from pydantic import SecretStr

from engine.pipe import Pipe
from engine.runner import ModelUnavailableError
from engine.shared_runner import SharedModel
from gateway.listening import bind_each
from gateway.metrics import FOLDER, Metrics, bury
from gateway.parts import CannotStartError, check_access, guard_of, model_options, plan_of
from gateway.rooms.hub import Hub, Member
from gateway.rooms.news import MAX_BYTES, ROOMS
from gateway.server import say_ready
from gateway.settings import Settings

PING_EVERY_S = 5.0
PONG_WITHIN_S = 30.0
"""A gateway whose event loop is held for longer is replaced, and its clients resume."""
RESTART_PAUSES_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
WELL_AFTER_S = 60.0
"""Only quick deaths in a row slow us down."""
MODEL = "model"
"""The Unix socket of the model's process."""
LAST_WORDS_S = 1.0
"""In which all is read that a gateway said before it died; more than enough."""
END_WITHIN_S = 15.0
"""Beyond `Settings.drain_s`."""

log = structlog.get_logger("gateway.workers")


class Gateway:
    """One place among the workers, and the process that has it now."""

    def __init__(self, number: int, bound: socket.socket, order: dict[str, Any], hub: Hub) -> None:
        self._number, self._bound, self._hub = number, bound, hub
        self._order = order | {"number": number}
        self._process: asyncio.subprocess.Process | None = None
        self._pipe: Pipe | None = None
        self._pong_at = 0.0
        self.ready = asyncio.Event()
        self.failure = ""
        """Why it did not start."""
        self.on_drain: Callable[[], None] = lambda: None

    async def live(self, folder: Path) -> int:
        """Starts a process and returns its exit code; one that hangs is killed."""
        await self._spawn(folder)
        assert self._process is not None
        assert self._pipe is not None
        member = self._hub.join(self._pipe, self.kill)
        listening = asyncio.create_task(self._listen(member))
        others = [asyncio.create_task(each) for each in (self._ping(), member.write())]
        try:
            code = await self._process.wait()
            await asyncio.wait({listening}, timeout=LAST_WORDS_S)
            return code
        finally:
            for task in (listening, *others):
                task.cancel()
            member.leave()
            bury(folder, self._process.pid)
            self._pipe.close()
            self._pipe = None

    async def _spawn(self, folder: Path) -> None:
        ours, theirs = socket.socketpair()
        fds = (theirs.fileno(), self._bound.fileno())
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway.worker_process", *map(str, fds), pass_fds=fds,
                stdin=asyncio.subprocess.DEVNULL, env={**os.environ, FOLDER: str(folder)},
            )  # fmt: skip
        self._pipe = await Pipe.over(ours)
        self._pipe.most_bytes = MAX_BYTES
        self._pipe.send(self._order)

    async def _listen(self, member: Member) -> None:
        assert self._pipe is not None
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                message = await self._pipe.receive()
                self._pong_at = asyncio.get_running_loop().time()
                if ROOMS in message:
                    member.take(message[ROOMS])
                    await asyncio.sleep(0)  # others speak, too
                elif "ready" in message:
                    self.ready.set()
                elif "failed" in message:
                    self.failure = message["failed"]
                elif "drain" in message:
                    self.on_drain()

    async def _ping(self) -> None:
        await self.ready.wait()
        loop = asyncio.get_running_loop()
        self._pong_at = loop.time()
        while loop.time() - self._pong_at < PONG_WITHIN_S:
            self._send({"ping": 0})
            await asyncio.sleep(PING_EVERY_S)
        log.warning("worker_hangs", worker=self._number, silent_s=PONG_WITHIN_S)
        self.kill()

    def do(self, what: str) -> None:
        """Tells the process to ``stop`` (a second time: at once) or to ``hang_up``."""
        self._send({"do": what})

    def _send(self, message: dict[str, Any]) -> None:
        if self._pipe is not None:
            self._pipe.send(message)

    def kill(self) -> None:
        """Ends the process at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def leave(self) -> None:
        """Gives its share of the port up: newcomers are the others'."""
        self._bound.close()


class Workers:
    """All of them; each that dies is replaced until they are to end."""

    def __init__(self, gateways: list[Gateway], folder: Path, settings: Settings) -> None:
        self._gateways, self._folder, self._settings = gateways, folder, settings
        self._ending = asyncio.Event()
        self._started = False
        for gateway in gateways:
            gateway.on_drain = self._drain

    async def run(self, started: Callable[[], None]) -> None:
        """Until all have ended.

        Args:
            started: called when all are ready.

        Raises:
            CannotStartError: one cannot, at the beginning.
        """
        with self._signals():
            lives = asyncio.gather(*map(self._keep, self._gateways))
            waiting = asyncio.create_task(self._wait_ready(started))
            patience = asyncio.create_task(self._lose_patience())
            try:
                await lives
            finally:
                waiting.cancel()
                patience.cancel()
                for gateway in self._gateways:
                    gateway.kill()

    async def _wait_ready(self, started: Callable[[], None]) -> None:
        for gateway in self._gateways:
            await gateway.ready.wait()
        self._started = True
        started()

    async def _keep(self, gateway: Gateway) -> None:
        deaths = 0
        loop = asyncio.get_running_loop()
        while not self._ending.is_set():
            began = loop.time()
            code = await gateway.live(self._folder)
            if self._ending.is_set():
                break
            if not self._started:
                raise CannotStartError(gateway.failure or "a gateway process died as it started")
            deaths = 0 if loop.time() - began > WELL_AFTER_S else deaths + 1
            log.warning("worker_died", exit_code=code, reason=gateway.failure, deaths=deaths)
            pause_s = RESTART_PAUSES_S[min(deaths, len(RESTART_PAUSES_S)) - 1] if deaths else 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._ending.wait()
        gateway.leave()

    async def _lose_patience(self) -> None:
        await self._ending.wait()
        await asyncio.sleep(self._settings.drain_s + END_WITHIN_S)
        for gateway in self._gateways:
            gateway.kill()

    @contextlib.contextmanager
    def _signals(self) -> Any:
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGINT: self._stop, signal.SIGTERM: self._stop,
                    signal.SIGHUP: self._hang_up}  # fmt: skip
        for each, handle in handlers.items():
            loop.add_signal_handler(each, handle)
        try:
            yield
        finally:
            for each in handlers:
                loop.remove_signal_handler(each)

    def _stop(self) -> None:
        self._ending.set()
        self._tell("stop")

    def _drain(self) -> None:
        """What the first signal does; idempotent."""
        if not self._ending.is_set():
            self._stop()

    def _hang_up(self) -> None:
        self._tell("hang_up")

    def _tell(self, what: str) -> None:
        for gateway in self._gateways:
            gateway.do(what)


async def serve_with_workers(settings: Settings) -> None:
    """Until SIGTERM or Ctrl-C.

    Raises:
        CannotStartError: a port or a model cannot be had.
    """
    check_access(settings)
    guard_of(settings, Metrics())  # keys and certificate are there: said once, not by each
    if not settings.token_secret.get_secret_value():
        settings = settings.model_copy(update={"token_secret": SecretStr(secrets.token_hex(32))})
    with tempfile.TemporaryDirectory(prefix="scribewire-") as name, contextlib.ExitStack() as held:
        folder = Path(name)  # 0700: nobody else's
        sockets = [held.enter_context(each) for each in bind_each(settings, settings.workers)]
        for each in ("metrics", "tokens"):
            (folder / each).mkdir()
        async with _engine(settings, folder) as path:
            order = {
                "settings": _plain(settings), "model": path, "used_tokens": str(folder / "tokens"),
            }  # fmt: skip
            hub = Hub(settings)
            gateways = [Gateway(i, each, order, hub) for i, each in enumerate(sockets)]
            workers = Workers(gateways, folder / "metrics", settings)
            await workers.run(lambda: say_ready(settings, sockets[0]))


def _plain(settings: Settings) -> dict[str, Any]:
    """All settings with their secrets, for a pipe that is nobody else's."""
    values = settings.model_dump()
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in values.items()
    }


@contextlib.asynccontextmanager
async def _engine(settings: Settings, folder: Path) -> AsyncIterator[str]:
    """Keeps the model alive; yields the address of its process, or nothing: it is in a cluster."""
    try:
        async with _cluster(settings) if settings.engine != "local" else _model(settings, folder):
            yield "" if settings.engine != "local" else str(folder / MODEL)
    except ModelUnavailableError as error:
        raise CannotStartError(str(error)) from None


@contextlib.asynccontextmanager
async def _model(settings: Settings, folder: Path) -> AsyncIterator[None]:
    model = SharedModel(
        folder / MODEL, settings.model, model_options(settings),
        step_within_s=settings.step_timeout_s,
    )  # fmt: skip
    try:
        await model.start()
        yield
    finally:
        await model.close()


@contextlib.asynccontextmanager
async def _cluster(settings: Settings) -> AsyncIterator[None]:
    """Starts the cluster that all join, if there is none."""
    if settings.engine != "ray" or "RAY_ADDRESS" in os.environ:
        yield
        return
    from engine.cluster import ray_actors

    await asyncio.to_thread(ray_actors.connect, settings.engine, plan_of(settings))
    os.environ["RAY_ADDRESS"] = ray_actors.address()
    try:
        yield
    finally:
        del os.environ["RAY_ADDRESS"]
        await asyncio.to_thread(ray_actors.leave)
