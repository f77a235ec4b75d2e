"""Errors as HTTP answers."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from gateway.errors import GatewayError, Unauthorized, as_fields


def error_response(error: GatewayError, body: Mapping[str, Any] | None = None) -> JSONResponse:
    """The error's status and `Retry-After` where it is known.

    Args:
        body: as another protocol says it; None: its fields as on our wire.
    """
    headers = {"cache-control": "no-store"}
    if error.retry_after_ms is not None:
        headers["retry-after"] = str(-(-error.retry_after_ms // 1000))
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = 'Bearer realm="scribewire"'  # RFC 9110, 11.6.1: a must
    said = {"type": "error"} | as_fields(error) if body is None else dict(body)
    return JSONResponse(said, error.http_status, headers)
