"""The Python client of the native protocol: asyncio, one session over as many WebSockets
as it takes.

async with connect("ws://127.0.0.1:8000", language="en") as session:
    transcript = await transcribe_pcm(session, pcm, bytes_per_second=32_000)
"""

from gateway.client.errors import SessionError
from gateway.client.session import Session, connect
from gateway.client.transcribe import Transcript, transcribe_pcm
from gateway.client.wire import Event, Format

__all__ = [
    "Event",
    "Format",
    "Session",
    "SessionError",
    "Transcript",
    "connect",
    "transcribe_pcm",
]
