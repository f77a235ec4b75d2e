"""What a gateway is made of besides its sockets: the engine, who looks on, who lets in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from engine.cluster.pool import Plan
from engine.cluster.runner import RayRunner
from engine.process_runner import ProcessRunner
from engine.runner import ModelOptions, ModelUnavailableError, Runner, ThreadRunner
from engine.vad import VoiceDetector
from engine.worker import BatchReport, Observers, Worker
from gateway.access import Guard
from gateway.access.keys import KeysError
from gateway.addresses import is_loopback
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.tls import CertificateError, check_certificate

if TYPE_CHECKING:
    from gateway.telemetry import Telemetry

log = structlog.get_logger("gateway.parts")


class CannotStartError(Exception):
    """The message is one sentence that says what to do."""


def model_options(settings: Settings) -> ModelOptions:
    """How the model is loaded."""
    return ModelOptions(
        device=settings.device,
        dtype=settings.dtype,
        gpu_memory=settings.gpu_memory,
        cpu_cache_gib=settings.cpu_cache_gib,
        aligner=settings.aligner or None,
    )


def plan_of(settings: Settings) -> Plan:
    """The model's copies in a cluster."""
    options = replace(model_options(settings), threads=max(1, round(settings.engine_cpus)))
    return Plan(
        settings.model, options, settings.engine_least, settings.engine_most,
        settings.engine_cpus, settings.engine_gpus,
    )  # fmt: skip


def runner_of(settings: Settings) -> Runner:
    """Where steps run."""
    if settings.engine != "local":
        plan = plan_of(settings)
        return RayRunner(settings.engine, plan, step_within_s=settings.step_timeout_s)
    options = model_options(settings)
    if settings.runner == "thread":
        return ThreadRunner(settings.model, options)
    return ProcessRunner(settings.model, options, step_within_s=settings.step_timeout_s)


@asynccontextmanager
async def telemetry_of(settings: Settings) -> AsyncIterator["Telemetry | None"]:
    """What follows sessions for a collector; None, and nothing of it imported: there is none.

    Raises:
        CannotStartError: what it needs is not installed.
    """
    if not settings.otlp_endpoint:
        yield None
        return
    try:
        from gateway.telemetry import Telemetry
    except ModuleNotFoundError:
        raise CannotStartError(
            "telemetry needs OpenTelemetry's SDK: pip install 'scribewire[telemetry]'"
        ) from None
    telemetry = Telemetry(settings.otlp_endpoint)
    try:
        yield telemetry
    finally:
        await asyncio.to_thread(telemetry.close)


def observers_of(metrics: Metrics, telemetry: "Telemetry | None") -> Observers:
    """Whoever is told what steps cost."""
    observers = Observers(batch=metrics.batch_done, failure=metrics.failed_steps.inc)
    if telemetry is not None:

        def batch_done(report: BatchReport) -> None:
            metrics.batch_done(report)
            telemetry.batch_done(report)

        observers.batch = batch_done
    return observers


@asynccontextmanager
async def working(runner: Runner, observers: Observers) -> AsyncIterator[Worker]:
    """A worker whose model is ready.

    Raises:
        CannotStartError: there is no such model here.
    """
    worker = Worker(runner, VoiceDetector(), observers)
    try:
        try:
            await worker.start()
        except ModelUnavailableError as error:
            raise CannotStartError(str(error)) from None
        yield worker
    finally:
        await worker.close()


def check_access(settings: Settings) -> None:
    """Says what is unwise.

    Raises:
        CannotStartError: anybody could come in, and nobody said that this is meant.
    """
    if is_loopback(settings.host):
        return
    if settings.has_keys:
        if not settings.tls_cert:
            advice = "give --tls-cert, or put a proxy with TLS in front"
            log.warning("keys_without_tls", advice=advice)
        return
    if not settings.no_auth:
        raise CannotStartError(
            f"not listening on {settings.host or 'all addresses'} without keys: whoever reached it "
            "could use it. Make a key with `scribewire keys add NAME` and give --keys-file, or say "
            "--no-auth if everybody may"
        )
    log.warning("open_to_all", host=settings.host, advice="everybody who reaches it may use it")


def guard_of(settings: Settings, metrics: Metrics, used_tokens: Path | None = None) -> Guard:
    """Who lets clients in.

    Raises:
        CannotStartError: keys or certificate cannot be had.
    """
    try:
        if settings.tls_cert:
            check_certificate(settings.tls_cert, settings.tls_key)
        return Guard(
            settings,
            denied=lambda reason: metrics.denied.labels(reason).inc(),
            limited=lambda limit: metrics.limited.labels(limit).inc(),
            used_tokens=used_tokens,
        )
    except (KeysError, CertificateError) as error:
        raise CannotStartError(str(error)) from None
