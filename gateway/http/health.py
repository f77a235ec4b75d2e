"""``/healthz``, ``/readyz``, ``/metrics``."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.messages import SAMPLE_RATE
from engine.worker import Worker
from gateway.metrics import Metrics
from gateway.registry import Registry


def health_routes(worker: Worker, registry: Registry, metrics: Metrics) -> list[Route]:
    """The routes that an operator's tools ask."""

    async def healthz(request: Request) -> Response:
        if not worker.alive:
            return JSONResponse({"status": "engine stopped: restart this process"}, 503)
        return JSONResponse({"status": "ok"})

    async def readyz(request: Request) -> Response:
        if registry.draining:
            return JSONResponse({"status": "draining"}, 503)
        if not worker.ready:
            return JSONResponse({"status": "model not ready"}, 503)
        return JSONResponse({"status": "ready", "model": worker.model.name})

    async def show_metrics(request: Request) -> Response:
        look(worker, registry, metrics)
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4")

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", show_metrics),
    ]


def look(worker: Worker, registry: Registry, metrics: Metrics) -> None:
    """Sets what is only known when somebody asks."""
    metrics.model_ready.set(worker.ready)
    metrics.model_restarts.set(worker.runner_restarts)
    metrics.model_copies.set(worker.model_copies)
    metrics.model_lanes.set(worker.lanes)
    metrics.queue_depth.set(worker.queue_depth)
    metrics.unheard_s.set(worker.unheard_s)
    metrics.cadence_s.set(worker.cadence_in_force / SAMPLE_RATE)
    metrics.draining.set(registry.draining)
    for state, sessions in registry.states.items():
        metrics.in_state.labels(state).set(sessions)
