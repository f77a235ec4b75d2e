"""What an editor says over a room's WebSocket."""

import asyncio
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.access.grant import Grant
from gateway.bucket import Bucket
from gateway.errors import GatewayError, InvalidMessage, Unauthorized, as_fields
from gateway.rooms import Rooms
from gateway.rooms.correction import StaleCorrection, parse_correction
from gateway.settings import Settings
from gateway.wire.messages import ErrorMessage, to_map
from gateway.wire.strict_json import dump_json


async def take_corrections(
    websocket: WebSocket, grant: Grant, room: str, rooms: Rooms, settings: Settings
) -> None:
    """Until the editor goes. One that is refused is told why, and goes on."""
    most = settings.max_messages_per_s
    bucket = Bucket(most, most, time.monotonic())
    while (message := await websocket.receive())["type"] != "websocket.disconnect":
        try:
            if grant.revoked:
                raise Unauthorized()
            await _correct(message, grant, room, rooms, settings.max_control_bytes)
        except GatewayError as error:
            if not await _tell(websocket, error, settings.write_timeout_s):
                return
        await asyncio.sleep(bucket.wait_s(time.monotonic()))
        bucket.take()


async def _tell(websocket: WebSocket, error: GatewayError, within_s: float) -> bool:
    """Whether the editor may go on, and is still there."""
    try:
        async with asyncio.timeout(within_s):
            await websocket.send_text(said(error))
        if isinstance(error, Unauthorized):
            await websocket.close(error.close_code)
    except (TimeoutError, WebSocketDisconnect, RuntimeError):
        return False
    return not isinstance(error, Unauthorized)


async def _correct(
    message: MutableMapping[str, Any], grant: Grant, room: str, rooms: Rooms, max_bytes: int
) -> None:
    """
    Raises:
        GatewayError: what is wrong with it; carries the message's ``id``.
    """
    if (text := message.get("text")) is None:
        raise InvalidMessage("A correction is JSON in a text frame.")
    wanted = parse_correction(text, max_bytes)
    try:
        await rooms.correct(grant.owner, room, wanted)
    except GatewayError as error:
        error.id = wanted.id
        raise


def said(error: GatewayError) -> str:
    """An error as a room's messages are written; of a stale correction, with what is there now."""
    fields = to_map(ErrorMessage(**as_fields(error)), "", 0)
    if isinstance(error, StaleCorrection):
        fields |= error.current
    return dump_json(fields)
