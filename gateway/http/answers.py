"""Errors as HTTP answers."""

from starlette.responses import JSONResponse

from gateway.errors import GatewayError, Unauthorized, as_fields


def error_response(error: GatewayError) -> JSONResponse:
    """The error's status, and its fields as on the wire; `Retry-After` where it is known."""
    headers = {"cache-control": "no-store"}
    if error.retry_after_ms is not None:
        headers["retry-after"] = str(-(-error.retry_after_ms // 1000))
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = 'Bearer realm="scribewire"'  # RFC 9110, 11.6.1: a must
    return JSONResponse({"type": "error"} | as_fields(error), error.http_status, headers)
