"""``POST /admin/drain``: what SIGTERM does, for whoever cannot send signals."""

from collections.abc import Callable

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.access import Guard, grant_of
from gateway.errors import Unauthorized
from gateway.http.answers import error_response
from gateway.registry import Registry
from gateway.settings import Settings

log = structlog.get_logger("gateway.admin")


def admin_routes(
    guard: Guard, registry: Registry, settings: Settings, drain: Callable[[], None]
) -> list[Route]:
    """The operator's routes.

    Args:
        drain: begins the end of the process; may be called again.
    """

    async def drain_now(request: Request) -> Response:
        grant = grant_of(request.scope)
        try:
            guard.check_admin(grant, request.scope)
        except Unauthorized as error:
            return error_response(error)
        log.info("drain_asked_for", key=grant.owner)
        drain()
        said = {
            "status": "draining",
            "sessions": sum(registry.states.values()),
            "within_s": settings.drain_s,
        }
        return JSONResponse(said, 202, {"cache-control": "no-store"})

    return [Route("/admin/drain", drain_now, methods=["POST"])]
