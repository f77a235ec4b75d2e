"""Kinds of sessions, as they are asked for."""

import json
from pathlib import Path

import pytest

from gateway.bench.mix import kinds_of, read_kind
from gateway.bench.wish import Wish


def test_all_protocols_play_all_recordings_in_turn() -> None:
    kinds = kinds_of(
        Wish(audio=("two_cities", "beckett"), protocols=("native", "openai"), language="en")
    )

    assert [kind.name for kind in kinds] == [
        "native two_cities en", "native beckett en", "openai two_cities en", "openai beckett en",
    ]  # fmt: skip
    assert {kind.weight for kind in kinds} == {1}


def test_a_mix_says_each_kind_by_itself(tmp_path: Path) -> None:
    words, text = tmp_path / "words.json", tmp_path / "text.txt"
    words.write_text(json.dumps([{"word": "Hi", "start_ms": 1, "end_ms": 2}]))
    text.write_text("Hi.")

    first, second = kinds_of(
        Wish(mix=("native,audio=beckett,language=en,weight=2.5",
                  f"deepgram,audio=beckett,words={words},reference={text}"))
    )  # fmt: skip

    assert (first.name, first.weight) == ("native beckett en", 2.5)
    assert first.track.words[-1].word == "better."
    assert (second.protocol, second.language) == ("deepgram", None)
    assert [word.word for word in second.track.words] == ["Hi"]
    assert second.track.reference == "Hi."


@pytest.mark.parametrize(
    "text",
    ["", "smoke", "native,weight=0", "native,weight=x", "native,weight=inf", "native,speed=2",
     "native,audio", "native,audio="],
)  # fmt: skip
def test_anything_else_is_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"--mix takes PROTOCOL\[,audio=FILE\]"):
        read_kind(text)
