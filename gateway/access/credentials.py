"""How a key or a token comes with a request, and how it is kept from going any further.

* ``Authorization: Bearer …``, or ``Token …`` as Deepgram's clients write it
* subprotocols, which are all that a browser's WebSocket can set: ``scribewire.auth, …``; Deepgram's
  ``token, …`` and ``bearer, …``; OpenAI's ``openai-insecure-api-key.…``
* ``?token=…``: short-lived tokens only, because addresses are logged
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal
from urllib.parse import unquote_plus

from starlette.types import Message, Scope, Send

MARKERS = ("scribewire.auth", "token", "bearer")
"""Subprotocols that say: the next one is a credential."""
OPENAI_PREFIX = "openai-insecure-api-key."
_SCHEMES = ("bearer", "token")

Source = Literal["header", "subprotocol", "query"]


@dataclass(frozen=True, slots=True)
class Credential:
    """What was presented; not judged yet."""

    text: str
    source: Source


def presented(scope: Scope) -> Credential | None:
    """The credential of a request; where there are several, the header's before the others.

    Raises:
        ValueError: two headers, or one that is not of a form above.
    """
    headers = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
    if headers:
        scheme, _, text = headers[0].decode("latin-1").strip().partition(" ")
        if len(headers) > 1 or scheme.lower() not in _SCHEMES or not text.strip():
            raise ValueError("not one header of the forms above")
        return Credential(text.strip(), "header")
    for found in _secrets(scope.get("subprotocols") or []):
        return Credential(found.removeprefix(OPENAI_PREFIX), "subprotocol")
    for part in _query(scope):
        if _is_token(part):
            return Credential(unquote_plus(part.partition("=")[2]), "query")
    return None


def without_credentials(scope: Scope) -> Scope:
    """A copy for the application, whose subprotocols and query have no credential in them."""
    query = "&".join(part for part in _query(scope) if not _is_token(part))
    cleaned = dict(scope) | {"query_string": query.encode("latin-1")}
    if "subprotocols" in scope:
        hidden = _secrets(scope["subprotocols"])
        cleaned["subprotocols"] = [each for each in scope["subprotocols"] if each not in hidden]
    return cleaned


def echoing(scope: Scope, send: Send) -> Send:
    """Names the credential's marker where the application accepts without a subprotocol.

    Browsers fail a connection that accepts none of what they offered; the credential itself is
    never repeated.
    """
    offered = scope.get("subprotocols") or []
    marker = next((each for each in offered if each in MARKERS), None)

    async def send_with_marker(message: Message) -> None:
        if message["type"] == "websocket.accept" and not message.get("subprotocol"):
            message = {**message, "subprotocol": marker}
        await send(message)

    return send_with_marker


def _secrets(subprotocols: list[str]) -> list[str]:
    """Those of the offered subprotocols that are credentials."""
    found = [b for a, b in pairwise(subprotocols) if a in MARKERS]
    return found + [each for each in subprotocols if each.startswith(OPENAI_PREFIX)]


def _query(scope: Scope) -> list[str]:
    return [part for part in scope["query_string"].decode("latin-1").split("&") if part]


def _is_token(part: str) -> bool:
    return unquote_plus(part.partition("=")[0]) == "token"
