"""Recordings cut into frames, and what a load says of itself."""

from gateway.bench.plan import Kind, Load, Track, Visit
from gateway.bench.words import TimedWord

TRACK = Track("x.wav", bytes(2 * 16 * 1250), (TimedWord("Twenty-one", 100, 400),), "Twenty-one.")
"""1.25 s."""


def load(*visits: Visit) -> Load:
    return Load("ws://x", (Kind(TRACK),), visits, frame_ms=100)


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


def test_a_kind_is_named_by_what_it_is() -> None:
    assert Kind(TRACK, "deepgram", "zh").name == "deepgram x.wav zh"
    assert Kind(TRACK).name == "native x.wav"
    assert Kind(TRACK, "openai", "zh").adapter().language == "zh"


def test_every_session_has_one_process() -> None:
    five = load(*[Visit(0, 10)] * 5)

    assert five.shares(2) == [[0, 2, 4], [1, 3]]
    assert load(Visit(0, 10)).shares(3) == [[0]]


def test_a_load_ends_with_the_last_to_speak_and_peaks_where_most_do() -> None:
    three = load(Visit(0, 50), Visit(1, 10), Visit(2, 10))

    assert three.length_s(0) == 5.0
    assert three.ends_s == 5.0
    assert three.peak == 2  # one ends as the next one comes
