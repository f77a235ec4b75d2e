"""A segment's hypotheses, and what of them is forced when."""

import pytest

from engine.messages import StepResult, TimedWord, ms_to_samples
from engine.segment import Hypothesis, Segment, StreamOptions

S = 16_000
PAPER = StreamOptions(rollback_tokens=2)
"""Chunks of 2 s, two of them cold."""


def said(*tokens: int) -> StepResult:
    return StepResult(tokens, tuple(f" w{t}".encode() for t in tokens), "eos", "en", 0.9)


def segment(start: int = 0) -> Segment:
    return Segment(index=1, start=start, speech_end=start)


def test_nothing_is_forced_before_anything_was_said() -> None:
    fresh = segment()

    assert (fresh.latest, fresh.forced, fresh.draft) == (None, (), ())


def test_cold_chunks_force_nothing_the_next_is_rolled_back_by_k() -> None:
    one = segment()
    one.believe(said(1, 2, 3, 4), 2 * S, PAPER)
    assert (one.forced, one.draft) == ((), (1, 2, 3, 4))

    one.believe(said(1, 2, 3, 4, 5, 6), 4 * S, PAPER)
    assert (one.forced, one.draft) == ((1, 2, 3, 4), (5, 6))
    assert one.prefix_text == "w1 w2 w3 w4"


@pytest.mark.parametrize(("cold_chunks", "first_forced"), [(0, 2), (1, 2), (2, 3), (3, 4)])
def test_the_cold_start_is_counted_in_chunks(cold_chunks: int, first_forced: int) -> None:
    options = StreamOptions(rollback_tokens=1, cold_chunks=cold_chunks)
    one, steps = segment(start=5 * S), 1
    while not one.forced:
        one.believe(said(*range(2 + steps)), (5 + 2 * steps) * S, options)
        steps += 1

    assert steps == first_forced


def test_without_a_rollback_length_nothing_is_ever_forced() -> None:
    one, options = segment(), StreamOptions(rollback_tokens=None)
    for chunk in range(1, 10):
        one.believe(said(*range(chunk * 5)), chunk * 2 * S, options)

    assert (one.forced, one.prefix_text) == ((), "")
    assert len(one.draft) == 45


def test_a_shorter_hypothesis_leaves_the_prefix_as_it_was() -> None:
    one = segment()
    one.believe(said(1, 2, 3, 4, 5, 6), 4 * S, PAPER)
    one.believe(said(1, 2, 3, 4), 6 * S, PAPER)

    assert one.forced == (1, 2, 3, 4)
    assert one.draft == ()


@pytest.mark.parametrize("tokens", [(), (1, 2, 3), (9, 2, 3, 4, 5), (1, 2, 3, 9)])
def test_a_hypothesis_against_the_prefix_is_left_out(tokens: tuple[int, ...]) -> None:
    one = segment()
    one.believe(said(1, 2, 3, 4, 5, 6), 4 * S, PAPER)

    assert not one.believe(said(*tokens), 6 * S, PAPER)
    assert one.latest == Hypothesis((1, 2, 3, 4, 5, 6), said(1, 2, 3, 4, 5, 6).pieces, 4 * S)
    assert one.forced == (1, 2, 3, 4)


def test_with_frequent_steps_a_token_is_forced_when_it_is_a_chunk_old() -> None:
    one, auto = segment(), StreamOptions(chunk=None, rollback_tokens=0, cold_chunks=0)
    steps_per_chunk = auto.settle // auto.cadence
    for i in range(3 * steps_per_chunk):
        end = (i + 1) * auto.cadence
        one.believe(said(*range(i + 1), 100 + i), end, auto)
        # The next step, a cadence later, may force what was there 2 s before it.
        old = i + 1 - steps_per_chunk
        assert len(one.forced) == max(0, old + 1), end
        assert one.forced == tuple(range(old + 1))


def test_with_frequent_steps_a_token_must_still_be_there() -> None:
    one, auto = segment(), StreamOptions(chunk=None, rollback_tokens=0, cold_chunks=0)
    for end in range(auto.cadence, auto.settle, auto.cadence):
        one.believe(said(1, 2, 3, 4), end, auto)
    one.believe(said(1, 2, 9, 4, 5), auto.settle, auto)

    assert one.forced == (1, 2)


def test_few_hypotheses_are_kept() -> None:
    for options in (PAPER, StreamOptions(chunk=None)):
        one = segment()
        for i in range(1, 57):
            one.believe(said(*range(i)), ms_to_samples(500 * i), options)
            assert len(one.history) <= 5


def heard(*voiced: bool, start: int = 0) -> Segment:
    one = segment(start)
    for i, each in enumerate(voiced, 1):
        one.hear(start + 512 * i, each, 512)
    return one


def test_it_knows_how_much_of_it_was_speech() -> None:
    one = heard(True, False, True, False)

    assert (one.voiced, one.speech_end) == (1024, 3 * 512)


def test_a_cut_leaves_the_speech_behind_it_to_the_next() -> None:
    one = heard(*[True] * 4, *[False] * 4, *[True] * 2, False)
    rest = one.split(6 * 512)

    assert one.end == 6 * 512
    assert rest is not None
    assert (rest.index, rest.start, rest.voiced, rest.speech_end) == (2, 6 * 512, 1024, 10 * 512)


def test_of_a_frame_that_is_cut_each_gets_its_part() -> None:
    one = heard(True, True, True)
    rest = one.split(700)

    assert rest is not None
    assert (rest.start, rest.voiced) == (700, 3 * 512 - 700)


def test_behind_a_cut_without_speech_comes_nothing() -> None:
    assert heard(True, True, False, False).split(1024) is None
    assert heard(True, True).split(1024) is None


def test_text_is_what_the_pieces_say() -> None:
    pieces = (b" Gr", b"\xc3", b"\xbc\xc3\x9fe", b" \xe6\x97")

    assert Hypothesis((1, 2, 3, 4), pieces, 0).text == "Grüße "


def test_words_move_to_the_sessions_time_and_stay_within_the_segment() -> None:
    one = segment(start=5 * S + 8)  # half a millisecond, rounded down
    one.end = 7 * S + 7
    words = [TimedWord("a", 0, 400), TimedWord("b", 400, 2000), TimedWord("c", 2000, 2001)]

    assert one.timed(words) == (
        TimedWord("a", 5000, 5400), TimedWord("b", 5400, 7000), TimedWord("c", 7000, 7000),
    )  # fmt: skip
