"""Qwen3-ASR through the real socket: the digits checkpoint hears espeak's voices, incrementally."""

from collections.abc import Iterator

import jiwer
import numpy as np
import pytest

from engine.models.base import ModelOptions
from engine.models.qwen3_asr.model import Qwen3ASR
from gateway.settings import Settings
from tests.assets.digits_checkpoint import CHECKPOINT
from tests.assets.speech_synthesis import say
from tests.conftest import Server, serving
from tests.e2e.dialogue import Dialogue, Offline, converse

pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("qwen3-asr")]

ENGLISH = (
    "one two three four five", "nine eight seven", "stop go left right six four two", "hello world",
)  # fmt: skip
CHINESE = ("一二三四五", "六七八九", "三二一", "今天天气很好")
UNSEEN_VOICE = "f2"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(Settings(port=0, model=str(CHECKPOINT), device="cpu")) as server:
        yield server


@pytest.fixture(scope="module")
def offline() -> Offline:
    return Offline(Qwen3ASR(str(CHECKPOINT), ModelOptions(device="cpu")))


def spoken(phrases: tuple[str, ...], language: str, pause_s: float) -> bytes:
    """The phrases with pauses between them, as pcm_s16le at 16 kHz."""
    pause = np.zeros(int(pause_s * 16_000), np.float32)
    parts = [pause]
    for phrase in phrases:
        parts += [say(phrase, voice=UNSEEN_VOICE, speed=150, language=language), pause]
    return np.rint(np.concatenate(parts) * 32_767).astype("<i2").tobytes()


def check(dialogue: Dialogue) -> None:
    """P5, and that all went well."""
    assert not dialogue.of("error")
    assert dialogue.close_code == 1000
    assert dialogue.retractions() == 0
    assert dialogue.unannounced_revisions() == 0


@pytest.mark.parametrize("query", ["", "chunk_ms=auto", "rollback_tokens=all&chunk_ms=1000"])
async def test_english_digits_are_heard(server: Server, offline: Offline, query: str) -> None:
    audio = spoken(ENGLISH, "English", 1.0)

    dialogue = await converse(server.ws, audio, speed=2, query=query)

    check(dialogue)
    assert [f["text"] for f in dialogue.of("final")] == [f.text for f in offline.finals(audio)]
    assert jiwer.wer(" ".join(ENGLISH), dialogue.text.strip()) <= 0.1
    assert {final["language"] for final in dialogue.of("final")} == {"en"}


async def test_mandarin_is_written_without_spaces_between_segments(
    server: Server, offline: Offline
) -> None:
    audio = spoken(CHINESE, "Chinese", 1.0)

    dialogue = await converse(server.ws, audio, speed=2, query="chunk_ms=1000&rollback_tokens=2")

    check(dialogue)
    assert [f["text"] for f in dialogue.of("final")] == [f.text for f in offline.finals(audio)]
    assert " " not in dialogue.text
    assert jiwer.cer("".join(CHINESE), dialogue.text) <= 0.1
    assert {final["language"] for final in dialogue.of("final")} == {"zh"}


async def test_silence_and_noise_are_silent(server: Server) -> None:
    noise = np.random.default_rng(0).normal(0, 300, 16_000 * 4).astype("<i2").tobytes()

    dialogue = await converse(server.ws, bytes(64_000) + noise + bytes(64_000))

    check(dialogue)
    assert dialogue.text == ""
