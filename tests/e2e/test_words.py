"""Word times over the real socket: the embedded model, and an aligner whose times are made up."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise

import pytest
from websockets.exceptions import InvalidStatus

from gateway.settings import Settings
from tests.conftest import Server, serving
from tests.e2e.dialogue import converse
from tests.engine.models.qwen3_asr.random_aligner import write_aligner
from tests.speech import pcm16

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("aligner")]


@pytest.fixture(scope="module")
def aligning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("aligner")
    write_aligner(folder)
    with serving(Settings(port=0, aligner=str(folder), device="cpu")) as server:
        yield server


def bare(text: str) -> list[str]:
    return re.findall(r"[\w']+", text)


async def test_finals_tell_when_each_of_their_words_was_said(aligning: Server) -> None:
    audio, _ = pcm16("beckett.wav")

    dialogue = await converse(aligning.ws, audio, speed=8, query="words=true")

    finals = dialogue.of("final")
    assert not dialogue.of("error")
    assert sum(len(final["words"]) for final in finals) >= 10
    for final in finals:
        assert [word["text"] for word in final["words"]] == bare(final["text"])
        times = [(word["start_ms"], word["end_ms"]) for word in final["words"]]
        assert all(start <= end for start, end in times)
        assert all(one[1] <= next[1] and one[0] <= next[0] for one, next in pairwise(times))
        assert final["start_ms"] <= min(start for start, _ in times)
        assert max(end for _, end in times) <= final["end_ms"]


async def test_who_does_not_ask_for_words_gets_none(aligning: Server) -> None:
    audio, _ = pcm16("beckett.wav")

    dialogue = await converse(aligning.ws, audio[: 32_000 * 3], speed=None)

    assert dialogue.of("final")
    assert not any("words" in final for final in dialogue.of("final"))


async def test_without_an_aligner_words_are_refused_with_the_way_to_have_them(
    server: Server,
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await converse(server.ws, bytes(3200), query="words=true")

    assert refused.value.response.status_code == 400
    error = json.loads(refused.value.response.body)
    assert error["code"] == "unsupported"
    assert "--aligner" in error["message"]
