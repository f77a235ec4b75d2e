"""A WebSocket to a server, or one sentence that says why there is none."""

import ssl

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import InvalidHandshake, InvalidStatus

from gateway.client.errors import SessionError, from_response, not_the_protocol
from gateway.client.wire import is_loopback, without_query

CLOSE_TIMEOUT_S = 3
"""For the farewell of a server that may be gone: everything that matters was said before."""

PING_S = 10
"""Between pings, and for each answer: a dead connection is found while the server still keeps the
session."""


async def dial(url: str, api_key: str | None) -> ClientConnection:
    """Connects.

    Raises:
        SessionError: nobody answers, or the connection was refused.
    """
    where = without_query(url)
    try:
        return await open_websocket(
            url,
            additional_headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            compression=None,  # the server has it off: audio does not shrink
            # A proxy, if the environment names one, does not know this machine's own addresses.
            proxy=None if is_loopback(url) else True,
        )
    except InvalidStatus as refusal:
        raise from_response(refusal.response) from None
    except InvalidHandshake as broken:
        if isinstance(broken.__cause__, EOFError | OSError):
            message = f"The connection to {where} was lost before it stood: try again."
            raise SessionError("connection_lost", message, True) from None
        raise not_the_protocol() from None
    except ssl.SSLError:
        message = f"No secure connection to {where} could be made: check its certificate."
        raise SessionError("unreachable", message) from None
    except OSError:
        message = f"No server answers at {where}: check the address, and that it is running."
        raise SessionError("unreachable", message, True) from None
