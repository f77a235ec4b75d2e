"""ASGI middleware: nothing gets to the application that the guard has not let in.

Starlette's own middleware for origins looks at requests only and lets every WebSocket pass; this
one is for both. A handshake is refused before it completes, as an HTTP answer.
"""

from collections.abc import Callable
from contextlib import ExitStack

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from gateway.access.credentials import echoing, without_credentials
from gateway.access.grant import SCOPE_KEY
from gateway.access.guard import ROOM_PREFIX, Guard
from gateway.errors import GatewayError
from gateway.http.answers import error_response


class AccessControl:
    """Asks the guard about each request and handshake.

    Args:
        refused: told the error's code of each handshake that is refused.
    """

    def __init__(self, app: ASGIApp, guard: Guard, refused: Callable[[str], None]) -> None:
        self._app, self._guard, self._refused = app, guard, refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or self._guard.is_open(scope):
            await self._app(scope, receive, send)
            return
        with ExitStack() as held:
            try:
                grant = self._guard.decide(scope)
                if scope["type"] == "websocket" and not scope["path"].startswith(ROOM_PREFIX):
                    held.enter_context(self._guard.session(grant))
            except GatewayError as error:
                await self._refuse(scope, receive, send, error)
                return
            inner = without_credentials(scope)
            inner[SCOPE_KEY] = grant
            await self._app(inner, receive, echoing(scope, send))

    async def _refuse(
        self, scope: Scope, receive: Receive, send: Send, error: GatewayError
    ) -> None:
        response = error_response(error)
        if scope["type"] == "http":
            await response(scope, receive, send)
        else:
            self._refused(error.code)
            await WebSocket(scope, receive, send).send_denial_response(response)
