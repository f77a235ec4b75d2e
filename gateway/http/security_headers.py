"""What a browser is told that it must not do with our answers."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.access.origin import own_host
from gateway.addresses import is_loopback

SECURITY_HEADERS = {
    # 'self' also means this server's WebSockets (CSP level 3). No HTML is ever made of text, so
    # trusted types forbid the ways to do it altogether.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; worker-src 'self'; media-src 'self' blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    # Not camera=(): Chromium counts sharing a tab's sound as one.
    "permissions-policy": (
        "microphone=(self), display-capture=(self), screen-wake-lock=(self), "
        "geolocation=(), payment=(), usb=()"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
HSTS = ("strict-transport-security", "max-age=31536000")


class SecurityHeaders:
    """ASGI middleware: `SECURITY_HEADERS` on every HTTP response, and `HSTS` under TLS."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                if scope["scheme"] == "https" and not _is_this_machine(scope):
                    headers[HSTS[0]] = HSTS[1]
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def _is_this_machine(scope: Scope) -> bool:
    # For "localhost" it would also rule every other server on the machine, whatever its port.
    return is_loopback(own_host(scope))
