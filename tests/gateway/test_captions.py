"""The formats are read back by small parsers of their own: what they see must be what was said."""

import html
import json
import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.captions import Caption, to_json, to_srt, to_text, to_vtt

HOUR_MS = 3_600_000

# Mean something to one of the formats, or to a careless parser of it.
NASTY = (
    *("-", ">", "-->", "--->", "<", "&", "&amp;", "\n", "\r", "\n\n", "\u2028", "\x85", " ", "1"),
    *("00:00:01,000 --> 00:00:02,000", "WEBVTT", "NOTE", "STYLE", "字幕", "a"),
)
nasty_text = st.lists(st.sampled_from(NASTY) | st.text(max_size=5)).map("".join)
captions = st.lists(
    st.builds(
        lambda text, start, length: Caption(text, start, start + length),
        nasty_text,
        st.integers(0, 200 * HOUR_MS),
        st.integers(0, 60_000),
    )
)


def one_line(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def blocks(document: str) -> list[list[str]]:
    """What a line-based parser sees between blank lines."""
    found = [block.splitlines() for block in re.split(r"(?:\r\n|\r|\n){2,}", document)]
    return [block for block in found if block]


def ms_of(timestamp: str) -> int:
    match = re.fullmatch(r"(\d{2,}):([0-5]\d):([0-5]\d)[.,](\d{3})", timestamp, re.ASCII)
    assert match is not None, timestamp
    hours, minutes, seconds, ms = map(int, match.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms


def span_of(timing: str) -> tuple[int, int]:
    start, end = timing.split(" --> ")
    return ms_of(start), ms_of(end)


def expected_spans(parts: list[Caption]) -> list[tuple[int, int]]:
    shown = [each for each in parts if one_line(each.text)]
    return [(each.start_ms, max(each.end_ms, each.start_ms + 1)) for each in shown]


def test_text_is_concatenated_exactly_as_it_is() -> None:
    parts = [Caption("Hello", 0, 10), Caption(" world.", 10, 20), Caption("你好", 20, 30)]

    assert to_text(parts) == "Hello world.你好"


def test_srt_looks_like_srt() -> None:
    parts = [Caption(" One.", 0, 1500), Caption("", 1500, 1500), Caption(" Two.", 1500, 61_001)]

    assert to_srt(parts) == (
        "1\n00:00:00,000 --> 00:00:01,500\nOne.\n\n2\n00:00:01,500 --> 00:01:01,001\nTwo.\n"
    )


def test_vtt_looks_like_vtt() -> None:
    parts = [Caption(" a < b && c --> d", 0, 1500), Caption("  ", 1500, 1600)]

    assert to_vtt(parts) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\na &lt; b &amp;&amp; c --&gt; d\n"
    )


def test_no_captions_are_still_a_valid_file() -> None:
    assert to_srt([]) == ""
    assert to_vtt([]) == "WEBVTT\n"
    assert json.loads(to_json([])) == {"text": "", "segments": []}


def test_more_than_99_hours_are_fine() -> None:
    late = [Caption("x", 123 * HOUR_MS + 4, 123 * HOUR_MS + 5)]

    assert "\n123:00:00,004 --> 123:00:00,005\n" in to_srt(late)
    assert "\n123:00:00.004 --> 123:00:00.005\n" in to_vtt(late)


def test_json_keeps_scripts_readable_and_leaves_empty_segments_out() -> None:
    text = to_json([Caption("Ünï", 0, 5), Caption("", 5, 5), Caption(" 字", 5, 9)])

    assert "Ünï 字" in text
    assert json.loads(text)["segments"] == [
        {"text": "Ünï", "start_ms": 0, "end_ms": 5},
        {"text": " 字", "start_ms": 5, "end_ms": 9},
    ]


@given(captions)
def test_srt_reads_back(parts: list[Caption]) -> None:
    cues = blocks(to_srt(parts))

    assert [cue[0] for cue in cues] == [str(n + 1) for n in range(len(cues))]
    assert [span_of(cue[1]) for cue in cues] == expected_spans(parts)
    assert all(len(cue) == 3 and "-->" not in cue[2] for cue in cues)


@given(captions)
def test_vtt_reads_back(parts: list[Caption]) -> None:
    header, *cues = blocks(to_vtt(parts))

    assert header == ["WEBVTT"]
    assert [span_of(cue[0]) for cue in cues] == expected_spans(parts)
    assert all(len(cue) == 2 and "-->" not in cue[1] and "<" not in cue[1] for cue in cues)
    shown = [one_line(each.text) for each in parts if one_line(each.text)]
    unescaped = [
        re.sub("&(amp|lt|gt);", lambda match: html.unescape(match[0]), cue[1]) for cue in cues
    ]
    assert unescaped == shown


@given(captions)
def test_json_reads_back(parts: list[Caption]) -> None:
    document = json.loads(to_json(parts))

    assert document["text"] == to_text(parts)
    assert "".join(each["text"] for each in document["segments"]) == document["text"]


@given(captions)
def test_every_format_is_one_that_files_can_hold(parts: list[Caption]) -> None:
    for document in (to_srt(parts), to_vtt(parts)):
        assert "\n\n\n" not in document
        assert "\r" not in document
