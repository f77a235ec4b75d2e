"""Segments hold what the whole file holds; playlists and segments are read by other libraries."""

import io

import m3u8
import pytest
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.captions import Caption, broken, to_broken_vtt
from gateway.segments import MAX_LISTED, numbers, playlist, segment

MS = 6000
TEXT = st.text("ab <&>-会議. ", max_size=150)
captions = st.lists(st.tuples(TEXT, st.integers(0, 5000), st.integers(1, 20_000)), max_size=6).map(
    lambda each: [
        Caption(text, at := sum(g + n for _, g, n in each[:i]) + gap, at + length)
        for i, (text, gap, length) in enumerate(each)
    ]
)


def cues(vtt: str) -> list[tuple[str, str, str]]:
    """As a library reads them."""
    return [(each.start, each.end, each.text) for each in webvtt.from_buffer(io.StringIO(vtt))]


def ms(timestamp: str) -> int:
    hours, minutes, seconds = timestamp.split(":")
    return round(((int(hours) * 60 + int(minutes)) * 60 + float(seconds)) * 1000)


@settings(max_examples=40, deadline=None)
@given(captions)
def test_each_cue_is_in_the_segments_that_it_overlaps(said: list[Caption]) -> None:
    whole = cues(to_broken_vtt(said))
    end = max((each.end_ms for each in said), default=0)
    written = broken(said)

    for number in range(end // MS + 2):
        begin = number * MS
        expected = [cue for cue in whole if ms(cue[0]) < begin + MS and ms(cue[1]) > begin]
        assert cues(segment(written, number, MS)) == expected


def test_a_segment_says_what_time_its_cues_count_in() -> None:
    text = segment([Caption("a & b\nc", MS - 500, MS + 500)], 1, MS, mpegts=900_000)

    assert text == (
        "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n"
        "00:00:05.500 --> 00:00:06.500\na &amp; b\nc\n"
    )


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ((0, 0), []),
        ((0, MS - 1), []),
        ((0, MS), [0]),
        ((0, 3 * MS - 1), [0, 1]),
        ((1, 3 * MS), [1, 2]),
        ((MS, 3 * MS), [1, 2]),
        ((2 * MS + 1, 3 * MS), []),
    ],
)
def test_only_whole_segments_are_listed(span: tuple[int, int], expected: list[int]) -> None:
    assert list(numbers(*span, MS)) == expected


def test_a_playlist_is_what_a_player_reads() -> None:
    found = m3u8.loads(playlist(range(7, 10), MS, False, "?mpegts=5"))

    assert found.target_duration == 6
    assert found.media_sequence == 7
    assert not found.is_endlist
    assert [each.uri for each in found.segments] == [
        f"captions/{n}.vtt?mpegts=5" for n in (7, 8, 9)
    ]
    assert {each.duration for each in found.segments} == {6.0}
    assert m3u8.loads(playlist(range(0), MS, True)).is_endlist


def test_a_playlist_of_a_long_day_has_the_newest() -> None:
    listed = numbers(0, (MAX_LISTED + 500) * MS, MS)

    assert (listed.start, len(listed)) == (500, MAX_LISTED)
