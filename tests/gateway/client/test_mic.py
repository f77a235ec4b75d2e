"""The terminal as a page, against the real server."""

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from gateway.client import connect
from gateway.client.mic import Screen, caption_live
from gateway.client.sources import NoAudioError, Source, level_dbfs, microphone, recording
from gateway.client.watch import follow
from tests.conftest import Server
from tests.gateway.test_server import SCRIBEWIRE
from tests.speech import pcm16, speech


def drawn(screen: Screen) -> str:
    console = Console(file=io.StringIO(), width=80, record=True)
    console.print(screen)
    return console.export_text()


def console() -> Console:
    return Console(file=io.StringIO(), width=200, highlight=False)


async def test_a_recording_is_captioned_at_its_own_pace_and_saved(
    server: Server, tmp_path: Path
) -> None:
    terminal, save = console(), tmp_path / "captions.vtt"
    source = recording(speech("beckett.wav"))
    began = asyncio.get_running_loop().time()

    async with connect(server.ws, sample_rate=source.rate) as session:
        captions = await caption_live(session, source, terminal, save)

    assert asyncio.get_running_loop().time() - began > 9.5
    assert len(captions) == 6
    assert terminal.file.getvalue().startswith("0:00 Ever tried.\n0:01 Ever failed.\n")  # type: ignore[attr-defined]
    assert save.read_text().startswith("WEBVTT\n\n00:00:00.")


async def test_ctrl_c_finishes_the_sentence_and_saves(server: Server, tmp_path: Path) -> None:
    save = tmp_path / "captions.srt"
    source = recording(speech("two_cities.wav"))
    asyncio.get_running_loop().call_later(3, os.kill, os.getpid(), signal.SIGINT)

    async with connect(server.ws, sample_rate=source.rate) as session:
        captions = await caption_live(session, source, console(), save)

    assert "best of times" in captions[-1].text
    assert "best of times" in save.read_text()


def test_stable_and_unstable_text_are_told_apart() -> None:
    screen = Screen(Console(file=io.StringIO()))
    screen.take(
        {
            "type": "partial",
            "stable": " It was",
            "unstable": " the",
            "lag_ms": 300,
            "language": "en",
        }
    )
    text = screen.__rich__().renderables[0]

    assert text.plain == "It was the"  # type: ignore[union-attr]
    assert [str(span.style) for span in text.spans] == ["dim italic"]  # type: ignore[union-attr]
    assert "lag 0.3 s" in drawn(screen)
    screen.take({"type": "suppressed"})
    assert "It was" not in drawn(screen)


def test_a_final_replaces_what_was_growing() -> None:
    file = io.StringIO()
    screen = Screen(Console(file=file, highlight=False))
    screen.stable = "It was"
    screen.take({"type": "final", "text": " It was.", "start_ms": 65_000, "end_ms": 66_000})

    assert (screen.stable, screen.unstable) == ("", "")
    assert file.getvalue() == "1:05 It was.\n"


@pytest.mark.parametrize(
    ("frame", "level"),
    [
        (b"", -96),
        (bytes(3200), -96),
        (np.full(1600, 32_767, "<i2").tobytes(), 0),
        (np.full(1600, 3277, "<i2").tobytes(), -20),
    ],
)
def test_the_level_is_in_db_below_full_scale(frame: bytes, level: float) -> None:
    assert level_dbfs(frame) == pytest.approx(level, abs=0.01)


async def test_raw_audio_on_standard_input_is_captioned(server: Server) -> None:
    audio = pcm16("beckett.wav")[0][: 32_000 * 4 + 1]  # ends with half a sample
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from gateway.cli import main; main()",
        "mic", "-", "--url", server.ws,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(audio), 30)

    assert process.returncode == 0
    assert "Ever tried." in output.decode()
    assert "Ever failed." in output.decode()


class SoundDeviceDouble(SimpleNamespace):
    """PortAudio's Python face with a microphone that is a list of frames; there is none in CI."""

    PortAudioError = RuntimeError

    def __init__(self, frames: list[bytes], fails: bool = False) -> None:
        super().__init__(frames=frames, fails=fails)

    def query_devices(self, device: str | None, kind: str) -> dict[str, float]:
        if self.fails:
            raise ValueError("No input device matching 'none'")
        return {"default_samplerate": 44_100.0}

    def RawInputStream(self, callback: Callable[..., None], **given: Any) -> "SoundDeviceDouble":
        assert (given["samplerate"], given["blocksize"], given["channels"]) == (44_100, 4410, 1)
        for frame in self.frames:
            callback(frame, len(frame) // 2, None, None)
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


async def first(frames: AsyncIterator[bytes], count: int) -> list[bytes]:
    return [await anext(frames) for _ in range(count)]


async def test_the_microphone_gives_its_frames_at_its_own_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames = [bytes([i]) * 8820 for i in range(3)]
    monkeypatch.setitem(sys.modules, "sounddevice", SoundDeviceDouble(frames))

    with microphone(None) as source:
        assert source.rate == 44_100
        assert await asyncio.wait_for(first(source.frames, 3), 5) == frames


async def test_a_missing_microphone_is_said_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", SoundDeviceDouble([], fails=True))

    with pytest.raises(NoAudioError, match="--device"), microphone("none"):
        pass


async def test_audio_stops_with_its_source(server: Server) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        for _ in range(0):
            yield b""

    async with connect(server.ws) as session:
        assert await caption_live(session, Source(16_000, nothing()), console(), None) == []


async def test_what_is_heard_is_said_in_a_room(server: Server) -> None:
    process = await asyncio.create_subprocess_exec(
        SCRIBEWIRE, "mic", "-", "--url", server.ws, "--room", "hall",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(50):
        printed, _ = await process.communicate(pcm16("beckett.wav")[0][: 2 * 32_000])
        history = follow(server.ws, "hall")
        said = [await anext(history)]
        while said[-1]["type"] != "final":
            said.append(await anext(history))
        await history.aclose()

    assert process.returncode == 0
    assert said[-1]["text"].strip() in printed.decode()
