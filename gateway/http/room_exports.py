"""What was said in a room, to be kept: ``captions.vtt``, ``.srt``, ``.txt`` and ``.json``."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.access import grant_of
from gateway.captions import Caption, to_broken_srt, to_broken_vtt
from gateway.errors import GatewayError, NotFound
from gateway.http.answers import error_response
from gateway.rooms import Rooms
from gateway.rooms.frames import RoomFrame
from gateway.wire.strict_json import dump_json

KEPT = ("session", "segment", "text", "start_ms", "end_ms", "language", "words")
"""What JSON says of each segment, where there is anything to say."""

Segments = Sequence[Mapping[str, Any]]


def export_routes(rooms: Rooms) -> list[BaseRoute]:
    """The routes of who wants the captions as a file; for viewers, as `room_routes` is."""

    async def captions(request: Request) -> Response:
        name, grant = request.path_params["room"], grant_of(request.scope)
        try:
            grant.check_room(name, "viewer")
            if (known := FORMATS.get(request.path_params["format"])) is None:
                raise NotFound("Captions come as vtt, srt, txt and json: ask for one of them.")
            frames = (await rooms.written(grant.owner, name)).finals
        except GatewayError as error:
            return error_response(error)
        write, media_type = known
        only = request.query_params.get("session")
        # A long lecture takes a while, in which others are to be heard.
        text = await asyncio.to_thread(lambda: write(_segments(frames, only)))
        return Response(text, media_type=media_type, headers={"cache-control": "no-store"})

    return [Route("/v1/rooms/{room}/captions.{format}", captions)]


def _segments(finals: Sequence[RoomFrame], only: str | None) -> Segments:
    """On the room's line of time; those of one session alone on that session's."""
    found: list[Mapping[str, Any]] = []
    for frame in finals:
        final = json.loads(frame.text)
        kept = {name: final[name] for name in KEPT if final.get(name) is not None}
        if only is None:
            found.append(kept | {"start_ms": frame.span[0], "end_ms": frame.span[1]})
        elif only == final["session"]:
            found.append(kept)
    return found


def _captions(segments: Segments) -> list[Caption]:
    return [Caption(each["text"], each["start_ms"], each["end_ms"]) for each in segments]


def _text(segments: Segments) -> str:
    """A line for each segment."""
    lines = (" ".join(each["text"].split()) for each in segments)
    return "".join(f"{line}\n" for line in lines if line)


def _json(segments: Segments) -> str:
    return dump_json({"segments": [each for each in segments if each["text"].strip()]})


FORMATS: Mapping[str, tuple[Callable[[Segments], str], str]] = MappingProxyType(
    {
        "vtt": (lambda segments: to_broken_vtt(_captions(segments)), "text/vtt"),
        "srt": (lambda segments: to_broken_srt(_captions(segments)), "application/x-subrip"),
        "txt": (_text, "text/plain"),
        "json": (_json, "application/json"),
    }
)
"""What writes each, and its media type."""
