"""Captions are short lines that end where a reader would pause, and lose nothing."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.caption_lines import MAX_COLUMNS, MAX_LINES, columns, cut
from gateway.captions import Caption, to_broken_srt, to_broken_vtt

WORDS = (
    "a",
    "the",
    "library,",
    "river.",
    "x" * 60,
    "日本語",
    "、",
    "。" * 50,
    "👩\u200d👩\u200d👧",
    "e\u0301",
)
texts = st.lists(st.sampled_from((*WORDS, " ", "  ")) | st.text(max_size=6), max_size=25)


@given(texts.map(lambda parts: " ".join("".join(parts).split())))
@settings(max_examples=60)
def test_all_text_is_there_in_lines_that_fit(text: str) -> None:
    cuts = cut(text)

    assert "".join("".join(each.lines) for each in cuts).replace(" ", "") == text.replace(" ", "")
    for each in cuts:
        assert 1 <= len(each.lines) <= MAX_LINES
        assert all(len(line) > 0 and columns(line) <= MAX_COLUMNS for line in each.lines)
        assert " ".join(each.lines).split() == " ".join(each.lines).split(" ")
    spans = [(each.start, each.end) for each in cuts]
    assert spans == sorted(spans)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello.", [["Hello."]]),
        ("", []),
        (
            "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better.",
            [["Ever tried. Ever failed. No matter.", "Try again. Fail again. Fail better."]],
        ),
        (
            "The committee met on Tuesday, and after a long debate it agreed that the new "
            "library should be built beside the river.",
            [
                ["The committee met on Tuesday,", "and after a long debate it agreed"],
                ["that the new library should", "be built beside the river."],
            ],
        ),
        (
            "委員会は火曜日に再び会合を開き、長い議論の末、同意しました。予算の話もしました。",
            [
                ["委員会は火曜日に再び会合を開き、", "長い議論の末、同意しました。"],
                ["予算の話もしました。"],
            ],
        ),
    ],
)
def test_lines_end_where_a_phrase_does(text: str, expected: list[list[str]]) -> None:
    assert [list(each.lines) for each in cut(text)] == expected


def test_a_part_of_a_caption_has_its_part_of_the_time() -> None:
    sentence = "All of these words are said in one breath, "
    srt = to_broken_srt([Caption(sentence * 4, 1000, 9000), Caption(" End.", 9000, 9000)])

    assert re.findall(r"\d\d:(\S+) --> \d\d:(\S+)", srt) == [
        ("00:01,000", "00:05,000"),
        ("00:05,000", "00:09,000"),
        ("00:09,000", "00:09,001"),
    ]


def test_text_cannot_end_its_cue() -> None:
    written = to_broken_vtt([Caption("a --> b & <c>\n\nd", 0, 1000)])

    assert written == "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\na --&gt; b &amp; &lt;c&gt; d\n"
