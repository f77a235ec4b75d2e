"""``/healthz``, ``/readyz``, ``/metrics``."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

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
        metrics.model_ready.set(worker.ready)
        metrics.model_restarts.set(worker.runner_restarts)
        metrics.model_copies.set(worker.model_copies)
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4")

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", show_metrics),
    ]
