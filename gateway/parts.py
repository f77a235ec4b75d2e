"""What a gateway is made of besides its sockets: the engine, and who looks on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.cluster.pool import Plan
from engine.cluster.runner import RayRunner
from engine.process_runner import ProcessRunner
from engine.runner import ModelOptions, ModelUnavailableError, Runner, ThreadRunner
from engine.vad import VoiceDetector
from engine.worker import BatchReport, Observers, Worker
from gateway.metrics import Metrics
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.telemetry import Telemetry


class CannotStartError(Exception):
    """The message is one sentence that says what to do."""


def _runner(settings: Settings) -> Runner:
    options = ModelOptions(
        device=settings.device,
        dtype=settings.dtype,
        gpu_memory=settings.gpu_memory,
        cpu_cache_gib=settings.cpu_cache_gib,
        aligner=settings.aligner or None,
    )
    if settings.engine != "local":
        options = replace(options, threads=max(1, round(settings.engine_cpus)))
        plan = Plan(
            settings.model, options, settings.engine_least, settings.engine_most,
            settings.engine_cpus, settings.engine_gpus,
        )  # fmt: skip
        return RayRunner(settings.engine, plan, step_within_s=settings.step_timeout_s)
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
async def working(settings: Settings, observers: Observers) -> AsyncIterator[Worker]:
    """A worker whose model is ready.

    Raises:
        CannotStartError: there is no such model here.
    """
    worker = Worker(_runner(settings), VoiceDetector(), observers)
    try:
        try:
            await worker.start()
        except ModelUnavailableError as error:
            raise CannotStartError(str(error)) from None
        yield worker
    finally:
        await worker.close()
