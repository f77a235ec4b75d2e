"""A room's captions for HTTP Live Streaming: ``captions.m3u8`` and ``captions/N.vtt``."""

import asyncio
import json

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.access import grant_of
from gateway.captions import Caption, broken
from gateway.errors import GatewayError, InvalidOption, NotFound
from gateway.http.answers import error_response
from gateway.rooms import Rooms
from gateway.rooms.frames import RoomFrame
from gateway.rooms.room import Written
from gateway.rooms.timeline import PIECE_MS
from gateway.segments import MAX_MPEGTS, numbers, playlist, segment

_FRESH = {"cache-control": "no-store"}


def segment_routes(rooms: Rooms) -> list[BaseRoute]:
    """The routes of players; for viewers, as `room_routes` is."""

    async def written(request: Request) -> Written:
        name, grant = request.path_params["room"], grant_of(request.scope)
        grant.check_room(name, "viewer")
        return await rooms.written(grant.owner, name)

    async def listing(request: Request) -> Response:
        try:
            mpegts, found = _mpegts(request), await written(request)
        except GatewayError as error:
            return error_response(error)
        query = f"?mpegts={mpegts}" if mpegts else ""
        text = playlist(_listed(found), PIECE_MS, found.has_ended, query)
        return Response(text, media_type="application/vnd.apple.mpegurl", headers=_FRESH)

    async def one(request: Request) -> Response:
        number = request.path_params["number"]
        try:
            mpegts, found = _mpegts(request), await written(request)
            if number not in _listed(found):
                raise NotFound("This segment is not in the playlist, or no longer.")
        except GatewayError as error:
            return error_response(error)
        start = number * PIECE_MS
        frames = [f for f in found.finals if f.span[0] < start + PIECE_MS and f.span[1] >= start]
        cues = await asyncio.to_thread(_cues, frames)
        return Response(
            segment(cues, number, PIECE_MS, mpegts), media_type="text/vtt", headers=_FRESH
        )

    return [
        Route("/v1/rooms/{room}/captions.m3u8", listing),
        Route("/v1/rooms/{room}/captions/{number:int}.vtt", one),
    ]


def _listed(found: Written) -> range:
    return numbers(found.from_ms, found.to_ms, PIECE_MS)


def _cues(frames: list[RoomFrame]) -> list[Caption]:
    return broken([Caption(json.loads(each.text)["text"], *each.span) for each in frames])


def _mpegts(request: Request) -> int:
    """
    Raises:
        InvalidOption: it is no timestamp.
    """
    text = request.query_params.get("mpegts", "0")
    if text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= MAX_MPEGTS:
        return int(text)
    raise InvalidOption(f"mpegts must be 0 to {MAX_MPEGTS}: a timestamp at 90 kHz.")
