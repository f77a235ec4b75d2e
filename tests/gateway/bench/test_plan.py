"""Recordings cut into frames, and sessions spread over time and processes."""

from gateway.bench.plan import Load, Track
from gateway.bench.words import TimedWord

TRACK = Track("x.wav", bytes(2 * 16 * 1250), (TimedWord("Twenty-one", 100, 400),), "Twenty-one.")
"""1.25 s."""


def load(sessions: int = 4) -> Load:
    return Load("ws://x", (TRACK,), sessions, stagger_s=2, frames=10, frame_ms=100)


def test_frames_are_whole_and_end_with_the_gap() -> None:
    frames = TRACK.frames(100)

    assert {len(frame) for frame in frames} == {3200}
    assert len(frames) == 23  # 1.25 s and 1 s, in tenths
    assert TRACK.period_ms(100) == 2300


def test_words_come_again_with_every_repetition() -> None:
    spoken = TRACK.spoken(2300, until_ms=2800)

    assert spoken == [
        TimedWord("twenty", 100, 400), TimedWord("one", 100, 400),
        TimedWord("twenty", 2400, 2700), TimedWord("one", 2400, 2700),
    ]  # fmt: skip
    assert Track("x", b"").spoken(1000, until_ms=10_000) == []


def test_words_that_were_cut_off_do_not_count() -> None:
    assert TRACK.spoken(2300, until_ms=399) == []


def test_beginnings_are_spread_evenly() -> None:
    assert [load().offset_s(i) for i in range(4)] == [0, 0.5, 1, 1.5]


def test_every_session_has_one_process() -> None:
    assert load(5).shares(2) == [[0, 2, 4], [1, 3]]
    assert load(1).shares(3) == [[0]]


def test_a_session_lasts_as_long_as_its_frames() -> None:
    assert load().duration_s == 1.0
