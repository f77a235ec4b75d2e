"""A room's captions for HTTP Live Streaming: ``captions.m3u8`` and ``captions/N.vtt``."""

import asyncio
import json
from hashlib import sha256

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
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

_LIST_FOR_S, _SEGMENT_FOR_S = PIECE_MS // 2000, PIECE_MS // 1000
"""How long caches may keep an answer. A list changes with each segment, and a segment when an
editor corrects it. Not `public`: what was asked for with a key is for none but who has it (RFC
9111, 3.5)."""


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
        return _kept(request, text, "application/vnd.apple.mpegurl", _LIST_FOR_S)

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
        return _kept(request, segment(cues, number, PIECE_MS, mpegts), "text/vtt", _SEGMENT_FOR_S)

    smaller = [Middleware(GZipMiddleware)]  # by a list's own route: streams do not pass it
    return [
        Route("/v1/rooms/{room}/captions.m3u8", listing, middleware=smaller),
        Route("/v1/rooms/{room}/captions/{number:int}.vtt", one),
    ]


def _kept(request: Request, text: str, media_type: str, seconds: int) -> Response:
    """An answer that caches may keep for so long, and then ask whether it has changed."""
    # Weak: the same whether or not it is compressed.
    tag = f'W/"{sha256(text.encode()).hexdigest()[:32]}"'
    headers = {"cache-control": f"max-age={seconds}", "etag": tag}
    if "authorization" in request.headers:
        headers["vary"] = "authorization"  # rooms of two keys may have one name
    if tag in map(str.strip, request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    return Response(text, media_type=media_type, headers=headers)


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
