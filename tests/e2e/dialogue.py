"""A bare WebSocket conversation, and what the same model says offline of the same audio."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from engine.messages import as_audio
from engine.models.base import SpeechModel
from engine.models.moonshine import Moonshine
from engine.segment import StreamOptions
from engine.transcript import Final
from engine.vad import VoiceDetector
from gateway.audio import PcmDecoder
from tests.stepping import walk

Event = dict[str, Any]


@dataclass
class Dialogue:
    """All that a server said, and how it ended."""

    events: list[Event] = field(default_factory=list)
    close_code: int | None = None

    def of(self, kind: str) -> list[Event]:
        """The events of one type."""
        return [event for event in self.events if event["type"] == kind]

    @property
    def text(self) -> str:
        """The finals as clients join them."""
        return "".join(final["text"] for final in self.of("final"))

    def retractions(self) -> int:
        """How often stable text was taken back by a later partial of its segment (P5)."""
        stable: dict[int, str] = {}
        count = 0
        for partial in self.of("partial"):
            before = stable.get(partial["segment"], "")
            count += not partial["stable"].startswith(before)
            stable[partial["segment"]] = partial["stable"]
        return count

    def unannounced_revisions(self) -> int:
        """How often a final contradicts stable text without saying so (P5)."""
        stable = {partial["segment"]: partial["stable"] for partial in self.of("partial")}
        return sum(
            final["revised"] == final["text"].startswith(stable.get(final["segment"], ""))
            for final in self.of("final")
        )


async def converse(
    url: str,
    audio: bytes,
    *,
    bytes_per_second: int = 32_000,
    frame_ms: int = 100,
    speed: float | None = None,
    query: str = "",
    last: str | None = '{"type": "stop"}',
) -> Dialogue:
    """Sends ``audio`` at ``speed`` × its pace (None: at once), then ``last``; hears all."""
    dialogue = Dialogue()
    async with connect(f"{url}/v1/stream?{query}", compression=None) as socket:

        async def send() -> None:
            loop = asyncio.get_running_loop()
            began, size = loop.time(), max(1, bytes_per_second * frame_ms // 1000)
            size -= size % 4
            for at in range(0, len(audio), size):
                await socket.send(audio[at : at + size])
                if speed is not None:
                    due = began + (at + size) / bytes_per_second / speed
                    await asyncio.sleep(max(0.0, due - loop.time()))
            if last is not None:
                await socket.send(last)

        sending = asyncio.create_task(send())
        try:
            async for message in socket:
                dialogue.events.append(json.loads(message))
        finally:
            sending.cancel()
            results = await asyncio.gather(sending, return_exceptions=True)
            for result in results:
                if isinstance(result, Exception) and not isinstance(result, ConnectionClosed):
                    raise result
        dialogue.close_code = socket.close_code
    return dialogue


class Offline:
    """The model on whole segments: no partials, no prefix, no drafts, no server."""

    def __init__(self, model: SpeechModel | None = None) -> None:
        self._model, self._detector = model or Moonshine(), VoiceDetector()

    def finals(
        self, audio: bytes, rate: int = 16_000, options: StreamOptions | None = None
    ) -> list[Final]:
        """The finals of ``audio`` (pcm_s16le, mono)."""
        decoder = PcmDecoder("pcm_s16le", rate, 1)
        given = decoder.decode(audio), decoder.flush()
        samples = np.concatenate([as_audio(pcm) for pcm in given])
        options = options or StreamOptions(partials=False)
        events = walk(samples, options, self._model, self._detector)
        return [event for event in events if isinstance(event, Final)]
