"""Builds the parts, serves, drains first and shuts down second."""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import structlog
import uvicorn
import uvloop

from engine.memory import freeze_what_stays
from engine.messages import samples_to_ms
from engine.runner import Runner
from gateway.access import Guard
from gateway.app import create_app
from gateway.direct import DirectProtocol
from gateway.fair_reading import fairly_read
from gateway.handshake import punctual
from gateway.http.health import look
from gateway.lateness import watch_lateness
from gateway.listening import allow_connections, bind, cannot_listen, url_of
from gateway.log import configure_logging
from gateway.metrics import Metrics
from gateway.parts import CannotStartError as CannotStartError
from gateway.parts import check_access, guard_of, observers_of, runner_of, telemetry_of, working
from gateway.registry import Load, Registry
from gateway.rooms import Rooms
from gateway.settings import Settings
from gateway.tls import CertificateError, load_certificate

log = structlog.get_logger("gateway.server")


class DrainingServer(uvicorn.Server):
    """uvicorn's own shutdown closes sockets at once (1012); finals go out before that here."""

    def __init__(self, config: uvicorn.Config, registry: Registry) -> None:
        super().__init__(config)
        self._registry = registry
        self._hurry = asyncio.Event()
        self.owns_process = True
        """Whether signals are this server's to handle."""
        self.listening = asyncio.Event()
        self.last_words: Callable[[], Awaitable[None]] = _nothing
        """After the last session: until its viewers have heard all that others' sessions say."""
        self.on_hangup: Callable[[], None] = lambda: None
        """SIGHUP: what can be read again is."""
        self.on_look: Callable[[], None] = lambda: None
        """Sets those metrics that are only known when somebody asks."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike uvicorn's own, does not raise the signal again at the end: exit code 0."""
        handlers = {signal.SIGINT: self.stop, signal.SIGTERM: self.stop,
                    signal.SIGHUP: self.hang_up}  # fmt: skip
        signals = handlers if self.owns_process else {}
        loop = asyncio.get_running_loop()
        for each, handle in signals.items():
            loop.add_signal_handler(each, handle)
        try:
            yield
        finally:
            for each in signals:
                loop.remove_signal_handler(each)

    def stop(self) -> None:
        """The first signal drains, the second does not wait for that."""
        if self.should_exit:
            self.force_exit = True
            self._hurry.set()
        self.should_exit = True

    def drain(self) -> None:
        """What the first signal does, and at once: nobody is let in from now on. Idempotent."""
        self._registry.draining = self.should_exit = True

    def hang_up(self) -> None:
        """Reads keys and certificate again; if that fails, those in force stay."""
        self.on_hangup()
        if isinstance(self.config.ssl, ssl.SSLContext):
            try:
                load_certificate(
                    self.config.ssl,
                    str(self.config.ssl_certfile),
                    str(self.config.ssl_keyfile or ""),
                )
            except CertificateError as error:
                log.error("certificate_not_reloaded", reason=str(error))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's own; `listening` says when it is done."""
        await super().startup(sockets)
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drains, then stops listening and shuts down."""
        log.info("draining")
        # Listening goes on while draining: a new client gets a clear 503 instead of a dead port.
        waits = [asyncio.create_task(self._drained(), name="drain"),
                 asyncio.create_task(self._hurry.wait(), name="hurry")]  # fmt: skip
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await super().shutdown(sockets)

    async def _drained(self) -> None:
        await self._registry.drain()
        await self.last_words()


async def _nothing() -> None:
    """There are no other processes."""


@contextlib.asynccontextmanager
async def assembled(
    settings: Settings, metrics: Metrics, guard: Guard, runner: Runner,
    drain: Callable[[], None] | None = None, rooms: Rooms | None = None,
) -> AsyncIterator[DrainingServer]:  # fmt: skip
    """A server whose engine runs; it has no socket yet.

    Args:
        drain: what ``POST /admin/drain`` does; None: what the first signal does.
        rooms: see `create_app`.

    Raises:
        CannotStartError: a model cannot be had.
    """
    async with (
        telemetry_of(settings) as telemetry,
        working(runner, observers_of(metrics, telemetry)) as worker,
    ):
        load = Load(lambda: samples_to_ms(worker.cadence), lambda: 1000 * worker.unheard_s)
        registry = Registry(settings, metrics, load, telemetry)
        app = create_app(
            settings, worker, registry, metrics, guard, drain or (lambda: server.drain()), rooms
        )
        config = uvicorn.Config(app, **uvicorn_options(settings, metrics))
        server = DrainingServer(config, registry)
        server.on_hangup = guard.reload
        server.on_look = lambda: look(worker, registry, metrics)
        watches = [
            asyncio.create_task(registry.watch_deadlines(), name="deadlines"),
            asyncio.create_task(watch_lateness(metrics.loop_late_s.observe), name="lateness"),
        ]
        try:
            yield server
        finally:
            for watch in watches:
                watch.cancel()


@contextlib.asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[tuple[DrainingServer, socket.socket]]:
    """A server that is ready to serve on a bound socket; its engine runs.

    Raises:
        CannotStartError: a port or a model cannot be had.
    """
    metrics = Metrics()
    check_access(settings)
    guard = guard_of(settings, metrics)
    with bind(settings) as bound:
        async with assembled(settings, metrics, guard, runner_of(settings)) as server:
            yield server, bound


def uvicorn_options(settings: Settings, metrics: Metrics) -> dict[str, Any]:
    """How connections are served, whatever the application."""
    return {
        "http": punctual(
            settings.handshake_timeout_s, metrics.limited.labels("handshake_timeout_s").inc
        ),
        # websockets-sansio: bad frames get a close frame, and it is fast
        "ws": fairly_read(DirectProtocol),
        "ws_max_size": settings.max_frame_bytes,
        "ws_ping_interval": settings.ping_interval_s,
        "ws_ping_timeout": settings.ping_timeout_s,
        "ws_per_message_deflate": False,  # 76 kB a connection instead of 29
        "access_log": False,  # it would print query strings
        "log_config": None,
        "lifespan": "off",
        "server_header": False,
        "proxy_headers": bool(settings.trusted_proxies),
        "forwarded_allow_ips": settings.trusted_proxies,
        "ssl_certfile": settings.tls_cert or None,
        "ssl_keyfile": settings.tls_key or None,
        "timeout_graceful_shutdown": 5,
    }


async def start(
    server: DrainingServer, bound: socket.socket, settings: Settings
) -> asyncio.Task[None]:
    """The serving task, once it listens.

    Raises:
        CannotStartError: somebody else listens there.
    """
    serving = asyncio.create_task(server.serve(sockets=[bound]), name="server")
    listening = asyncio.create_task(server.listening.wait(), name="listening")
    await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED)
    if not listening.done():
        listening.cancel()
        try:
            await serving
        except OSError as error:  # bound by two, but another listened first
            raise cannot_listen(settings, error) from None
    return serving


async def _serve(settings: Settings) -> None:
    async with _running(settings) as (server, bound):
        serving = await start(server, bound, settings)
        freeze_what_stays()
        say_ready(settings, bound)
        await serving


def say_ready(settings: Settings, bound: socket.socket) -> None:
    """For whoever started it, person or program."""
    scheme = "https" if settings.tls_cert else "http"
    print(f"Scribewire is ready: open {url_of(bound, scheme)}/", flush=True)


def _warn_of_misspelt_settings() -> None:
    prefix = Settings.model_config["env_prefix"]
    known = {prefix + name.upper() for name in Settings.model_fields} | {f"{prefix}API_KEY"}
    for name in os.environ:
        if name.startswith(prefix) and name not in known:
            log.warning("unknown_setting", name=name, advice="see the settings in the README")


def serve(settings: Settings) -> int:
    """Runs a gateway until SIGTERM or Ctrl-C; the process's exit code."""
    configure_logging(settings)
    _warn_of_misspelt_settings()
    allow_connections()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if settings.workers > 1:
                from gateway.workers import serve_with_workers

                runner.run(serve_with_workers(settings))
            else:
                runner.run(_serve(settings))
    except CannotStartError as error:
        print(f"scribewire: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # while the model was loading
        return 130
    return 0


@contextlib.asynccontextmanager
async def run_in_background(settings: Settings) -> AsyncIterator[str]:
    """A gateway beside the caller, in the same event loop; yields its ``ws://`` address.

    Raises:
        CannotStartError: a port or a model cannot be had.
    """
    async with _running(settings) as (server, bound):
        server.owns_process = False
        serving = await start(server, bound, settings)
        try:
            yield url_of(bound, "wss" if settings.tls_cert else "ws")
        finally:
            server.should_exit = True
            await serving
