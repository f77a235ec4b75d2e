"""Requests and handshakes as uvicorn describes them."""

from starlette.types import Scope


def scope(
    kind: str = "websocket",
    *headers: tuple[str, str],
    path: str = "/v1/stream",
    query: str = "",
    scheme: str | None = None,
    host: str = "127.0.0.1:8000",
    client: str = "127.0.0.1",
) -> Scope:
    """
    Args:
        kind: ``websocket`` or ``http``.
        headers: beside ``Host``, which is ``host`` unless that is empty.
    """
    named = [("host", host), *headers] if host else headers
    found: Scope = {
        "type": kind,
        "scheme": scheme or {"websocket": "ws", "http": "http"}[kind],
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in named],
        "client": (client, 50_000),
    }
    if kind == "websocket":
        offered = [value for name, value in named if name == "sec-websocket-protocol"]
        found["subprotocols"] = [each.strip() for line in offered for each in line.split(",")]
    return found
