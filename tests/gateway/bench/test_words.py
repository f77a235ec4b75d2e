"""Times of words."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.audio import decode_file
from gateway.bench.words import TimedWord, normalised, read_words, shipped
from tests.speech import speech


def test_case_and_punctuation_go_and_apostrophes_stay() -> None:
    assert normalised("It’s the — BEST, of_times!") == "it's the best of_times"
    assert normalised("今天，music!") == "今 天 music"


@pytest.mark.parametrize(("name", "count", "last"), [("two_cities", 119, "only"),
                                                     ("beckett", 12, "better")])  # fmt: skip
def test_the_shipped_words_fit_their_recordings(name: str, count: int, last: str) -> None:
    words = read_words(shipped(name))
    duration_ms = len(decode_file(speech(f"{name}.wav"))) / 16

    assert (len(words), normalised(words[-1].word)) == (count, last)
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(words))
    assert duration_ms - 4000 < words[-1].end_ms < duration_ms


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "words.json"
    file.write_text(json.dumps([{"word": "Ah", "start_ms": 1, "end_ms": 2}]))

    assert read_words(file) == [TimedWord("Ah", 1, 2)]


@pytest.mark.parametrize(
    "text",
    ['{"word": 1}', '[{"word": "a"}]', "[1]", "no", '[{"word": "a", "start_ms": 2, "end_ms": 1}]',
     '[{"word":"a","start_ms":5,"end_ms":6},{"word":"b","start_ms":1,"end_ms":2}]'],
)  # fmt: skip
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "words.json"
    file.write_text(text)

    with pytest.raises(ValueError):  # noqa: PT011  (json's own is one of them)
        read_words(file)
