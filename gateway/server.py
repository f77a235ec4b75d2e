"""Builds the parts, serves, drains first and shuts down second."""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import structlog
import uvicorn
import uvloop

from engine.messages import samples_to_ms
from gateway.access import Guard
from gateway.access.keys import KeysError
from gateway.addresses import is_loopback
from gateway.app import create_app
from gateway.fair_reading import fairly_read
from gateway.fan_out import FanOutProtocol
from gateway.handshake import punctual
from gateway.lateness import watch_lateness
from gateway.log import configure_logging
from gateway.metrics import Metrics
from gateway.parts import CannotStartError as CannotStartError
from gateway.parts import observers_of, telemetry_of, working
from gateway.registry import Registry
from gateway.settings import Settings
from gateway.tls import CertificateError, check_certificate, load_certificate

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
        self.on_hangup: Callable[[], None] = lambda: None
        """SIGHUP: what can be read again is."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike uvicorn's own, does not raise the signal again at the end: exit code 0."""
        handlers = {signal.SIGINT: self._stop, signal.SIGTERM: self._stop,
                    signal.SIGHUP: self._hang_up}  # fmt: skip
        signals = handlers if self.owns_process else {}
        loop = asyncio.get_running_loop()
        for each, handle in signals.items():
            loop.add_signal_handler(each, handle)
        try:
            yield
        finally:
            for each in signals:
                loop.remove_signal_handler(each)

    def _stop(self) -> None:
        """The first signal drains, the second does not wait for that."""
        if self.should_exit:
            self.force_exit = True
            self._hurry.set()
        self.should_exit = True

    def drain(self) -> None:
        """What the first signal does, and at once: nobody is let in from now on. Idempotent."""
        self._registry.draining = self.should_exit = True

    def _hang_up(self) -> None:
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
        waits = [asyncio.create_task(self._registry.drain(), name="drain"),
                 asyncio.create_task(self._hurry.wait(), name="hurry")]  # fmt: skip
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await super().shutdown(sockets)


def _check_access(settings: Settings) -> None:
    """
    Raises:
        CannotStartError: anybody could come in, and nobody said that this is meant.
    """
    if is_loopback(settings.host) or settings.has_keys:
        return
    if not settings.no_auth:
        raise CannotStartError(
            f"not listening on {settings.host or 'all addresses'} without keys: whoever reached it "
            "could use it. Make a key with `scribewire keys add NAME` and give --keys-file, or say "
            "--no-auth if everybody may"
        )
    log.warning("open_to_all", host=settings.host, advice="everybody who reaches it may use it")


def _bind(settings: Settings) -> socket.socket:
    """A bound socket that does not listen yet: a taken port is found before a model is loaded."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise CannotStartError(
            f"there is no address {settings.host!r}; give --host one of this machine's"
        ) from None
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise _cannot_listen(settings, error) from None
    return bound


def _cannot_listen(settings: Settings, error: OSError) -> CannotStartError:
    return CannotStartError(
        f"cannot listen on {settings.host} port {settings.port} ({error.strerror}); "
        "stop what uses it or give another --port"
    )


def _guard(settings: Settings, metrics: Metrics) -> Guard:
    """
    Raises:
        CannotStartError: keys or certificate cannot be had, or keys are needed.
    """
    _check_access(settings)
    if settings.has_keys and not settings.tls_cert and not is_loopback(settings.host):
        log.warning("keys_without_tls", advice="give --tls-cert, or put a proxy with TLS in front")
    try:
        if settings.tls_cert:
            check_certificate(settings.tls_cert, settings.tls_key)
        return Guard(
            settings,
            denied=lambda reason: metrics.denied.labels(reason).inc(),
            limited=lambda limit: metrics.limited.labels(limit).inc(),
        )
    except (KeysError, CertificateError) as error:
        raise CannotStartError(str(error)) from None


@contextlib.asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[tuple[DrainingServer, socket.socket]]:
    """A server that is ready to serve on a bound socket; its engine runs.

    Raises:
        CannotStartError: a port or a model cannot be had.
    """
    metrics = Metrics()
    guard = _guard(settings, metrics)
    with _bind(settings) as bound:
        async with (
            telemetry_of(settings) as telemetry,
            working(settings, observers_of(metrics, telemetry)) as worker,
        ):
            registry = Registry(settings, metrics, lambda: samples_to_ms(worker.cadence), telemetry)
            app = create_app(settings, worker, registry, metrics, guard, lambda: server.drain())
            config = uvicorn.Config(app, **uvicorn_options(settings, metrics))
            server = DrainingServer(config, registry)
            server.on_hangup = guard.reload
            watches = [
                asyncio.create_task(registry.watch_deadlines(), name="deadlines"),
                asyncio.create_task(watch_lateness(metrics.loop_late_s.observe), name="lateness"),
            ]
            try:
                yield server, bound
            finally:
                for watch in watches:
                    watch.cancel()


def uvicorn_options(settings: Settings, metrics: Metrics) -> dict[str, Any]:
    """How connections are served, whatever the application."""
    return {
        "http": punctual(
            settings.handshake_timeout_s, metrics.limited.labels("handshake_timeout_s").inc
        ),
        # websockets-sansio: bad frames get a close frame, and it is fast
        "ws": fairly_read(FanOutProtocol),
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


def _url(bound: socket.socket, scheme: str) -> str:
    host, port = bound.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def _start(
    server: DrainingServer, bound: socket.socket, settings: Settings
) -> asyncio.Task[None]:
    """The serving task, once it listens."""
    serving = asyncio.create_task(server.serve(sockets=[bound]), name="server")
    listening = asyncio.create_task(server.listening.wait(), name="listening")
    await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED)
    if not listening.done():
        listening.cancel()
        try:
            await serving
        except OSError as error:  # bound by two, but another listened first
            raise _cannot_listen(settings, error) from None
    return serving


async def _serve(settings: Settings) -> None:
    async with _running(settings) as (server, bound):
        serving = await _start(server, bound, settings)
        scheme = "https" if settings.tls_cert else "http"
        print(f"Scribewire is ready: open {_url(bound, scheme)}/", flush=True)
        await serving


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
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
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
        serving = await _start(server, bound, settings)
        try:
            yield _url(bound, "wss" if settings.tls_cert else "ws")
        finally:
            server.should_exit = True
            await serving
