"""The adapter in LiveKit's own framework: what it is told of speech, and of a gateway that is not
there."""

import asyncio
from collections.abc import Iterator

import pytest
from livekit import rtc
from livekit.agents import (
    Agent,
    AgentSession,
    APIConnectionError,
    APIConnectOptions,
    UserInputTranscribedEvent,
    stt,
)
from livekit.agents.stt import SpeechEventType as Type
from livekit.agents.voice.io import AudioInput

from gateway.client.livekit import ScribewireSTT
from gateway.settings import Settings
from tests.conftest import QUICK_MODEL, Server, serving
from tests.speech import pcm16

pytestmark = pytest.mark.timeout(30)

PCM = pcm16("beckett.wav")[0]
AT_ONCE = APIConnectOptions(max_retry=0, timeout=2)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Server]:
    with serving(Settings(port=0, runner="thread", model=QUICK_MODEL)) as running:
        yield running


def frames(pcm: bytes = PCM) -> list[rtc.AudioFrame]:
    """20 ms each."""
    return [
        rtc.AudioFrame(pcm[at : at + 640], 16_000, 1, len(pcm[at : at + 640]) // 2)
        for at in range(0, len(pcm), 640)
    ]


class FramesInput(AudioInput):
    """Speech once, then silence."""

    def __init__(self) -> None:
        super().__init__(label="frames")
        self._frames = iter(frames())

    async def __anext__(self) -> rtc.AudioFrame:
        frame = next(self._frames, None)
        if frame is None:
            await asyncio.Event().wait()
        assert frame is not None
        return frame


async def test_a_stream_tells_of_speech_in_the_frameworks_order(gateway: Server) -> None:
    async with ScribewireSTT(gateway.ws) as service, service.stream() as stream:
        for frame in frames():
            stream.push_frame(frame)
        stream.end_input()
        events = [event async for event in stream]

    finals = [each for each in events if each.type == Type.FINAL_TRANSCRIPT]
    assert len(finals) > 1
    assert all(each.alternatives[0].text.startswith("word0") for each in finals)
    assert {each.alternatives[0].language for each in finals} == {"en"}
    starts = [each.alternatives[0].start_time for each in finals]
    assert starts == sorted(starts)
    marks = [each.type for each in events]
    turns = [each for each in marks if each in (Type.START_OF_SPEECH, Type.END_OF_SPEECH)]
    assert turns == [Type.START_OF_SPEECH, Type.END_OF_SPEECH] * (len(turns) // 2)
    assert marks[0] == Type.START_OF_SPEECH
    assert marks[-1] == Type.END_OF_SPEECH


async def test_a_flush_closes_the_open_segment(gateway: Server) -> None:
    async with (
        ScribewireSTT(gateway.ws, endpoint_ms=0, language="en") as service,
        service.stream() as stream,
    ):
        for frame in frames():
            stream.push_frame(frame)
        stream.flush()
        async for event in stream:
            if event.type == Type.FINAL_TRANSCRIPT:
                break

    assert "word1" in event.alternatives[0].text


async def test_an_agents_session_hears_through_it(gateway: Server) -> None:
    heard: list[UserInputTranscribedEvent] = []
    async with ScribewireSTT(gateway.ws) as service:
        session: AgentSession[None] = AgentSession(stt=service, vad=None, turn_detection="stt")
        session.on("user_input_transcribed", heard.append)
        session.input.audio = FramesInput()
        await session.start(agent=Agent(instructions=""))
        while not any(each.is_final for each in heard):
            await asyncio.sleep(0.01)
        await session.aclose()

    assert any(each.transcript.startswith("word0") for each in heard)
    assert {each.language for each in heard} == {"en"}


async def test_a_recording_is_recognised_as_a_whole(gateway: Server) -> None:
    event = await ScribewireSTT(gateway.ws).recognize(frames())

    assert event.type == Type.FINAL_TRANSCRIPT
    assert "word0" in event.alternatives[0].text


async def test_a_gateway_that_is_not_there_is_the_frameworks_error() -> None:
    problems: list[stt.STTError] = []
    service = ScribewireSTT("ws://127.0.0.1:9")
    service.on("error", problems.append)
    async with service.stream(conn_options=AT_ONCE) as stream:
        stream.push_frame(frames()[0])
        with pytest.raises(APIConnectionError, match="unreachable"):
            await anext(stream)

    assert [each.recoverable for each in problems] == [False]


async def test_an_option_that_is_wrong_is_not_tried_again(gateway: Server) -> None:
    with pytest.raises(APIConnectionError, match="endpoint_ms") as refusal:
        await ScribewireSTT(gateway.ws, endpoint_ms=-5).recognize(frames())

    assert not refusal.value.retryable
