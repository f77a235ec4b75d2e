"""Speech-to-text for LiveKit agents: ``AgentSession(stt=ScribewireSTT("ws://HOST:PORT"))``.

Needs the extra ``livekit``. What is spoken in a stream is one session; a connection that is lost is
regained by the session itself, so the framework's own retries begin only where that ends.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from livekit import agents, rtc
from livekit.agents import NOT_GIVEN, APIConnectOptions, stt, utils

from gateway.client.errors import SessionError
from gateway.client.session import Session, connect
from gateway.client.transcribe import transcribe_pcm
from gateway.client.wire import Event

BYTES_PER_SAMPLE = 2

Language = agents.NotGivenOr[str]


class ScribewireSTT(stt.STT[Any]):
    """A Scribewire gateway.

    Args:
        url: ``ws://HOST:PORT``.
        api_key: a key or a token, where the gateway asks for one.
        options: the protocol's: ``language``, ``context``, ``endpoint_ms``, ``publish``, …
    """

    def __init__(self, url: str, api_key: str | None = None, **options: object) -> None:
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=True, interim_results=True, manual_flush=True, aligned_transcript="chunk"
            )
        )
        self._url, self._api_key = url, api_key
        self._options = {"chunk_ms": "auto", **options}

    @property
    def provider(self) -> str:
        return "scribewire"

    def stream(
        self,
        *,
        language: Language = NOT_GIVEN,
        conn_options: APIConnectOptions = agents.DEFAULT_API_CONNECT_OPTIONS,
    ) -> "ScribewireStream":
        return ScribewireStream(self, language, conn_options)

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: Language = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        frame = rtc.combine_audio_frames(buffer)
        per_second = frame.sample_rate * frame.num_channels * BYTES_PER_SAMPLE
        async with self._session(frame, language) as session:
            heard = await transcribe_pcm(session, bytes(frame.data), bytes_per_second=per_second)
        found = next((each["language"] for each in heard.finals if each.get("language")), "")
        data = stt.SpeechData(agents.LanguageCode(found), heard.text.strip())
        return stt.SpeechEvent(stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[data])

    @asynccontextmanager
    async def _session(self, like: rtc.AudioFrame, language: Language) -> AsyncIterator[Session]:
        """A session for audio like a frame's; its errors are the framework's."""
        options = {**self._options, "sample_rate": like.sample_rate, "channels": like.num_channels}
        if utils.is_given(language):
            options["language"] = language
        try:
            async with connect(self._url, api_key=self._api_key, **options) as session:  # type: ignore[arg-type]
                yield session
        except SessionError as error:
            raise agents.APIConnectionError(str(error), retryable=error.retryable) from error


class ScribewireStream(stt.RecognizeStream):
    """One stream: what is pushed is heard, `flush` closes the open segment."""

    def __init__(
        self, service: ScribewireSTT, language: Language, conn_options: APIConnectOptions
    ) -> None:
        super().__init__(stt=service, conn_options=conn_options)
        self._service, self._language = service, language
        self._speaking, self._segment = False, 0

    async def _run(self) -> None:
        async for first in self._input_ch:
            if isinstance(first, rtc.AudioFrame):
                break
        else:
            return
        async with self._service._session(first, self._language) as session:
            pushing = asyncio.create_task(self._push(session, first))
            try:
                async for event in session:
                    self._hear(event)
                await pushing
            finally:
                await utils.aio.cancel_and_wait(pushing)

    async def _push(self, session: Session, first: rtc.AudioFrame) -> None:
        await session.send(bytes(first.data))
        async for each in self._input_ch:
            if isinstance(each, rtc.AudioFrame):
                await session.send(bytes(each.data))
            else:
                await session.finalize()
        await session.stop()

    def _hear(self, event: Event) -> None:
        match event["type"]:
            case "speech_started":
                if not self._speaking:
                    self._tell(stt.SpeechEventType.START_OF_SPEECH)
                self._speaking, self._segment = True, event["segment"]
            case "partial":
                text = event["stable"] + event["unstable"]
                self._tell(stt.SpeechEventType.INTERIM_TRANSCRIPT, self._data(event, text))
            case "final" if event["text"].strip():
                data = self._data(event, event["text"], event.get("confidence") or 0.0)
                self._tell(stt.SpeechEventType.FINAL_TRANSCRIPT, data)
        if event["type"] == "final" and event["reason"] != "length":
            self._end(event["segment"])

    def _end(self, segment: int) -> None:
        """Speech is over behind its words, and if nobody went on meanwhile: a turn is complete."""
        if self._speaking and segment >= self._segment:
            self._speaking = False
            self._tell(stt.SpeechEventType.END_OF_SPEECH)

    def _data(self, event: Event, text: str, confidence: float = 0.0) -> stt.SpeechData:
        start, end = (
            self.start_time_offset + event[name] / 1000 for name in ("start_ms", "end_ms")
        )
        language = agents.LanguageCode(event.get("language") or "")
        began = self.start_time_offset
        return stt.SpeechData(language, text.strip(), began + start, began + end, confidence)

    def _tell(self, type: stt.SpeechEventType, *alternatives: stt.SpeechData) -> None:
        self._event_ch.send_nowait(stt.SpeechEvent(type, alternatives=list(alternatives)))
