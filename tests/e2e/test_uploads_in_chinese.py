"""Mandarin through an upload: text without spaces still comes chunk by chunk."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openai
import pytest

from gateway.settings import Settings
from tests.assets.speech_synthesis import say
from tests.conftest import Server, serving
from tests.e2e.test_uploads import streamed, wav

pytestmark = pytest.mark.timeout(120)

CHECKPOINT = str(Path(__file__).parent.parent / "assets" / "qwen3-asr-digits")
SENTENCE = "今天 天气 很好 请 打开 音乐 一 二 三 四 五 六 七"
"""About 10 s at the slow speed below: several chunks."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    settings = Settings(port=0, runner="thread", model=CHECKPOINT, device="cpu")
    with serving(settings) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.http}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def speech() -> bytes:
    samples = say(SENTENCE.split(), voice="f2", speed=120, language="Chinese")
    return wav(np.round(samples * 32_767).astype("<i2").tobytes())


def test_it_comes_in_several_deltas_and_is_what_was_said(
    client: openai.OpenAI, speech: bytes
) -> None:
    deltas, done = streamed(client, speech)

    assert len(deltas) >= 3
    assert "".join(deltas) == done.text or done.revised
    assert not any(character.isspace() for character in "".join(deltas))
    wanted = SENTENCE.replace(" ", "")
    assert sum(character in done.text for character in wanted) / len(wanted) > 0.8


def test_a_prefix_is_forced_whatever_language_the_model_hears(
    client: openai.OpenAI, speech: bytes
) -> None:
    """Text has a language before it, which the model is asked for first."""
    prefix = "今天天气很好"

    heard, told = (
        client.audio.transcriptions.create(file=speech, model="any", extra_body=body).text
        for body in ({"prefix": prefix}, {"response_prefix": prefix, "language": "zh"})
    )

    assert heard == told
    assert heard
    assert not heard.startswith(prefix)
