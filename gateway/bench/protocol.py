"""What the load generator says and hears, for servers of several protocols. Pure.

Each protocol's messages become those of our own: ``ready``, ``partial``, ``final``, ``done``. So
all figures are made in one way, whatever server is measured.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from engine.messages import SAMPLE_RATE
from gateway.client.wire import stream_url

Event = dict[str, Any]
Message = str | bytes
"""A text or a binary message."""


class Native:
    """Our own protocol; what the others have in common with it is inherited."""

    path = ""
    positions = True
    """Whether partials tell up to which audio they go. Without, only words have a latency."""
    closes = False
    """Whether the client has to close when the session is done."""
    settle_s = 0.0
    """The end is said so long after the last new text: for a server that drops at the end what it
    has not yet transcribed."""

    def __init__(self, language: str | None = None) -> None:
        self.language = language

    def address(self, url: str, options: Mapping[str, object]) -> str:
        """Where the session is opened, at a server that was given by ``url``."""
        language = {"language": self.language} if self.language else {}
        return stream_url(url, "json", {**options, "sample_rate": SAMPLE_RATE, **language})

    def headers(self, api_key: str | None) -> dict[str, str]:
        """What shows the key."""
        return {"Authorization": f"Bearer {api_key}"} if api_key else {}

    def opening(self) -> list[Message]:
        """What is said first. Here a ping: who says nothing for long is ended, and a session may
        wait for all the others."""
        return [json.dumps({"type": "ping", "id": "bench"})]

    def frame(self, pcm: bytes) -> Message:
        """Audio, given as pcm_s16le, mono, at 16 kHz."""
        return pcm

    def stop(self) -> list[Message]:
        """That there is no more audio."""
        return [json.dumps({"type": "stop"})]

    def connected(self) -> list[Event]:
        """What the accepted connection alone means."""
        return []

    def take(self, message: Event) -> list[Event]:
        """What a message of the server means."""
        return [message]

    def closed(self) -> list[Event]:
        """What it means that the server closes after `stop`."""
        return []


class Foreign(Native):
    """Counts segments, and says what our own messages say; all other protocols."""

    closes = True

    def __init__(self, language: str | None = None) -> None:
        super().__init__(language)
        self.segments = 0
        """That have a final."""
        self.revision = 0

    def query(self) -> dict[str, str]:
        """Of the address."""
        return {"language": self.language} if self.language else {}

    def address(self, url: str, options: Mapping[str, object]) -> str:
        """At the protocol's usual path, unless the URL has another; options are our own."""
        scheme, host, path, query, _ = urlsplit(url)
        together = "&".join(filter(None, (query, urlencode(self.query()))))
        scheme = {"http": "ws", "https": "wss"}.get(scheme, scheme)
        return urlunsplit((scheme, host, path.rstrip("/") or self.path, together, ""))

    def opening(self) -> list[Message]:
        return []

    def partial(self, start_ms: int, end_ms: int, stable: str, unstable: str) -> Event:
        """Text of the segment that goes on."""
        self.revision += 1
        return {
            "type": "partial", "segment": self.segments + 1, "revision": self.revision,
            "stable": stable, "unstable": unstable, "start_ms": start_ms, "end_ms": end_ms,
        }  # fmt: skip

    def final(self, start_ms: int, end_ms: int, text: str) -> Event:
        """Text that ends the segment."""
        self.segments, self.revision = self.segments + 1, 0
        return {
            "type": "final", "segment": self.segments, "text": text, "revised": False,
            "start_ms": start_ms, "end_ms": end_ms, "reason": "server",
        }  # fmt: skip

    def done(self) -> Event:
        """The session's end."""
        return {"type": "done", "segments": self.segments}
