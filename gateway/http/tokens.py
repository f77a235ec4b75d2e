"""``POST /v1/tokens``: a key for a short-lived token that a browser may have.

`POST /v1/realtime/client_secrets` is the same in OpenAI's words.
"""

import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.worker import Worker
from gateway.access import Guard, grant_of
from gateway.access.tokens import MAX_TOKEN_CHARS, Claims, Role, new_token_id
from gateway.errors import GatewayError, InvalidMessage, InvalidOption
from gateway.http.answers import error_response
from gateway.rooms.table import check_room_name
from gateway.settings import Settings
from gateway.wire.options import parse_options
from gateway.wire.stream_options import to_stream_options

LIFETIME_S = 60
"""Long enough to open a connection with, and no longer."""
SECRET_LIFETIME_S = 600
"""Of a client secret; OpenAI's own default."""

Body = TypeVar("Body", bound=BaseModel)

_STRICT = ConfigDict(extra="forbid", strict=True)


class TokenRequest(BaseModel):
    """The body of ``POST /v1/tokens``; all of it may be left out."""

    model_config = _STRICT

    expires_in_s: Annotated[int, Field(ge=1)] = LIFETIME_S
    single_use: bool = True
    """The token opens one session; false: as many as the key may have, until it expires."""
    options: dict[str, Any] = {}
    """Session options that it fixes."""
    role: Role | None = None
    room: str = ""
    """With a role, and only then. A viewer's or editor's token is good until it expires, so that
    pages can reconnect."""


class ExpiresAfter(BaseModel):
    """When a client secret expires."""

    model_config = _STRICT

    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Field(ge=10, le=7200)] = SECRET_LIFETIME_S


class OpenAISession(BaseModel):
    """What is looked at of the session that a client secret is for; the rest is its codec's."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: Literal["transcription"]


class SecretRequest(BaseModel):
    """The body of ``POST /v1/realtime/client_secrets``."""

    model_config = _STRICT

    expires_after: ExpiresAfter = ExpiresAfter()
    session: OpenAISession = OpenAISession(type="transcription")


def token_routes(guard: Guard, worker: Worker, settings: Settings) -> list[Route]:
    """The routes that make tokens."""

    def issued(request: Request, lifetime_s: int, **claims: Any) -> tuple[str, int]:
        grant = grant_of(request.scope)
        guard.check_key(grant)
        if lifetime_s > settings.token_max_s:
            raise InvalidOption(f"A token may be valid for {settings.token_max_s} s at most.")
        expires_at = int(guard.clock()) + lifetime_s
        token = guard.tokens.issue(Claims(grant.owner or "", expires_at, **claims), grant.key)
        if len(token) > MAX_TOKEN_CHARS:
            raise InvalidOption("This is too much for a token: send the context when connected.")
        return token, expires_at

    async def tokens(request: Request) -> Response:
        body = await _body(request, TokenRequest, settings.max_control_bytes)
        check_role(body)
        options = parse_options(body.options, max_segment_ms=worker.model.max_segment_ms)
        to_stream_options(options, worker.model)  # refuses what the model cannot do
        fixed = {name: getattr(options, name) for name in body.options}
        single_use = body.single_use and body.role in (None, "publisher")
        token, expires_at = issued(
            request, body.expires_in_s, options=fixed,
            id=new_token_id() if single_use else None, role=body.role, room=body.room,
        )  # fmt: skip
        of_room = {"role": body.role, "room": body.room} if body.role else {}
        return _no_store({"token": token, "expires_at": expires_at, "options": fixed,
                          "single_use": single_use, **of_room})  # fmt: skip

    async def client_secrets(request: Request) -> Response:
        body = await _body(request, SecretRequest, settings.max_control_bytes)
        session = body.session.model_dump()
        token, expires_at = issued(request, body.expires_after.seconds, session=session)
        return _no_store({"value": token, "expires_at": expires_at, "session": session})

    def answering(make: Any) -> Any:
        async def answer(request: Request) -> Response:
            try:
                response: Response = await make(request)
            except GatewayError as error:
                return error_response(error)
            return response

        return answer

    return [
        Route("/v1/tokens", answering(tokens), methods=["POST"]),
        Route("/v1/realtime/client_secrets", answering(client_secrets), methods=["POST"]),
    ]


def check_role(body: TokenRequest) -> None:
    """
    Raises:
        InvalidMessage, InvalidOption: role and room do not come together, or there is no such room.
    """
    if (body.role is None) != (body.room == ""):
        raise InvalidMessage("role and room come together: give both or neither.")
    if body.role is not None:
        check_room_name(body.room)


async def _body(request: Request, kind: type[Body], max_bytes: int) -> Body:
    """The request's body; without one, all its defaults.

    Raises:
        InvalidMessage: too long, or not such a body; names the first field that is wrong.
    """
    read = bytearray()
    async for part in request.stream():
        read += part
        if len(read) > max_bytes:
            raise InvalidMessage(f"The body must have at most {max_bytes} bytes.")
    try:
        return kind.model_validate(json.loads(read) if read else {})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidMessage(f"{where or 'The body'}: {first['msg'].lower()}.") from None
    except (ValueError, RecursionError):
        raise InvalidMessage("The body must be one JSON object.") from None


def _no_store(fields: dict[str, Any]) -> Response:
    return JSONResponse(fields, headers={"cache-control": "no-store"})
