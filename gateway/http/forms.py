"""Forms with a file, read as they arrive: the file to disk, and all of it bounded."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from gateway.errors import IdleTimeout, InvalidMessage, TooLarge

MAX_FIELDS = 64
MAX_FIELD_BYTES = 65_536


async def read_form(request: Request, *, max_bytes: int, chunk_within_s: float) -> FormData:
    """The form of a request, to be closed; its only file may be larger than memory.

    Args:
        max_bytes: of the whole body.
        chunk_within_s: the longest wait for more of it.

    Raises:
        InvalidMessage: not a form, a broken one, or one with too much in it.
        TooLarge: more than ``max_bytes``.
        IdleTimeout: nothing came for too long.
        starlette.requests.ClientDisconnect: the client is gone.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise InvalidMessage("The request must be a form: send multipart/form-data.")
    if int(request.headers.get("content-length", 0)) > max_bytes:  # h11 and httptools checked it
        raise _too_large(max_bytes)
    async with aclosing(_bounded(request, max_bytes, chunk_within_s)) as body:
        parser = MultiPartParser(
            request.headers, body, max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES
        )
        try:
            return await parser.parse()
        except MultiPartException:
            raise InvalidMessage(
                f"The form is broken, or has more than one file, {MAX_FIELDS} fields or "
                f"{MAX_FIELD_BYTES} bytes in a field."
            ) from None


async def _bounded(
    request: Request, max_bytes: int, within_s: float
) -> AsyncGenerator[bytes, None]:
    body, received = request.stream(), 0
    while True:
        try:
            async with asyncio.timeout(within_s):
                chunk = await anext(body)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise IdleTimeout("The rest of the file did not come: send it again.") from None
        received += len(chunk)
        if received > max_bytes:
            raise _too_large(max_bytes)
        yield chunk


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The request is too large: send at most {max_bytes} bytes.")
