"""Words with times, estimated or aligned."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.deepgram_words import aligned_words, timed_words


def test_words_share_the_time_by_their_length() -> None:
    words = timed_words(" Ever tried.", 1000, 2200, 0.9)

    assert words == [
        {"word": "ever", "start": 1.0, "end": 1.5, "confidence": 0.9, "punctuated_word": "Ever"},
        {"word": "tried", "start": 1.5, "end": 2.2, "confidence": 0.9, "punctuated_word": "tried."},
    ]


@given(st.text(), st.integers(0, 10**7), st.integers(0, 30_000))
def test_they_are_in_order_and_within_the_speech(text: str, start_ms: int, length_ms: int) -> None:
    words = timed_words(text, start_ms, start_ms + length_ms, 1.0)

    assert all(word["start"] <= word["end"] for word in words)
    assert all(one["end"] <= following["start"] for one, following in pairwise(words))
    if words:
        assert words[0]["start"] == round(start_ms / 1000, 3)
        assert words[-1]["end"] == round((start_ms + length_ms) / 1000, 3)
        assert all(word["word"] and word["punctuated_word"] for word in words)


@pytest.mark.parametrize(
    ("text", "words", "punctuated"),
    [
        ("", [], []),
        ("— So, it's…", ["so", "it's"], ["—So,", "it's…"]),
        ("你好，世界。", ["你", "好", "世", "界"], ["你", "好，", "世", "界。"]),
        ("3.5 km", ["3.5", "km"], ["3.5", "km"]),
    ],
)
def test_punctuation_stays_with_its_word(
    text: str, words: list[str], punctuated: list[str]
) -> None:
    result = timed_words(text, 0, 1000, 1.0)
    assert [word["word"] for word in result] == words
    assert [word["punctuated_word"] for word in result] == punctuated


def test_an_aligners_times_are_taken_with_the_transcripts_punctuation() -> None:
    aligned = [
        {"text": "Ever", "start_ms": 290, "end_ms": 550},
        {"text": "tried", "start_ms": 550, "end_ms": 1160},
    ]
    words = aligned_words("Ever tried.", aligned, 0.8)
    assert [(w["word"], w["start"], w["end"], w["punctuated_word"]) for w in words] == [
        ("ever", 0.29, 0.55, "Ever"), ("tried", 0.55, 1.16, "tried."),
    ]  # fmt: skip


def test_an_aligners_words_are_taken_where_it_counts_otherwise() -> None:
    aligned = [{"text": "well", "start_ms": 0, "end_ms": 5}]
    words = aligned_words("well-known fact", aligned, 0.8)
    assert [word["punctuated_word"] for word in words] == ["well"]
