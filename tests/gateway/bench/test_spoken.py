"""When words were shown, and how many were wrong."""

from gateway.bench.spoken import (
    aligned,
    nearest_prefix,
    transcript,
    word_errors,
    word_latencies,
)
from gateway.bench.words import TimedWord
from tests.gateway.bench.logs import BEGAN, final, log_of, partial

WORDS = [
    TimedWord("it", 500, 600), TimedWord("was", 600, 800), TimedWord("the", 800, 900),
    TimedWord("best", 900, 1400), TimedWord("of", 1400, 1500), TimedWord("times", 1500, 2000),
]  # fmt: skip


def test_equal_words_are_aligned_around_wrong_missing_and_additional_ones() -> None:
    assert aligned(["a", "b", "c", "d"], ["a", "x", "c", "d"]) == [(0, 0), (2, 2), (3, 3)]
    assert aligned(["a", "b", "c"], ["a", "c"]) == [(0, 0), (2, 1)]
    assert aligned(["a", "b"], ["a", "oh", "b"]) == [(0, 0), (1, 2)]


def test_a_repeated_phrase_is_taken_for_its_first_utterance() -> None:
    assert aligned(["it", "was", "the", "best", "it", "was", "the"], ["it", "was"]) == [
        (0, 0),
        (1, 1),
    ]


def test_a_word_is_shown_when_a_text_first_has_it_and_stable_later() -> None:
    log = log_of(
        (1.0, partial(900, "", "It was")),
        (2.5, partial(2000, "It was", " the best of time", revision=2)),
        (3.0, final(2200, "It was the best of times.")),
    )

    found = word_latencies(log, WORDS)

    shown = {round(each.ms) for each in found.shown[:2]}
    assert shown == {400, 200}  # spoken until 0.6 and 0.8, shown at 1.0
    assert [round(each.ms) for each in found.shown[2:]] == [1600, 1100, 1000, 1000]
    assert [round(each.ms) for each in found.stable] == [1900, 1700, 2100, 1600, 1500, 1000]
    assert (found.spoken, found.missed) == (6, 0)


def test_wrong_words_are_missed_and_their_neighbours_are_not() -> None:
    log = log_of((3.0, final(2200, "It was a beast of times.")))

    found = word_latencies(log, WORDS)

    assert (found.spoken, found.missed) == (6, 2)
    assert len(found.shown) == 4


def test_words_of_later_segments_are_aligned_with_their_own() -> None:
    words = [*WORDS, TimedWord("it", 4000, 4100), TimedWord("was", 4100, 4300)]
    log = log_of(
        (3.0, final(2200, "It was the best of times.")),
        (5.0, final(4500, " It was", segment=2, start_ms=3700)),
    )

    assert [round(each.ms) for each in word_latencies(log, words).shown[-2:]] == [900, 700]


def test_words_spoken_in_the_warm_up_are_left_out() -> None:
    log = log_of((3.0, final(2200, "It was the best of times.")))

    assert word_latencies(log, WORDS, since=BEGAN + 1.45).spoken == 2


def test_case_and_punctuation_are_no_errors() -> None:
    assert word_errors("It was — the BEST!", "it was the best") == (0, 4)
    assert word_errors("one two three four", "one too three") == (2, 4)
    assert word_errors("", "noise") == (0, 0)


def test_without_spaces_each_character_is_a_word() -> None:
    assert word_errors("今天天气很好", "今天 天气不好。") == (1, 6)


def test_who_has_left_misses_nothing() -> None:
    log = log_of((1.0, partial(900, "", "It was")))
    log.left = True

    found = word_latencies(log, WORDS)

    assert (len(found.shown), found.spoken, found.missed) == (2, 0, 0)


def test_a_transcript_is_its_finals() -> None:
    log = log_of((1.0, partial(900, "", "It")), (2.0, final(2200, "It.")), (3.0, final(3, " Is.")))

    assert transcript(log) == "It. Is."
    assert word_errors("It is", transcript(log)) == (0, 2)


def test_without_positions_a_text_ends_at_the_first_words_that_fit_it() -> None:
    spoken = ["it", "was", "the", "best", "of", "times", "it", "was", "the", "worst", "of", "times"]

    assert nearest_prefix(spoken, ["it", "was", "the"]) == 3
    assert nearest_prefix(spoken, ["it", "was", "the", "rest", "of", "times", "it"]) == 7
    assert nearest_prefix(spoken, []) == 0


def test_words_are_timed_without_positions_too() -> None:
    log = log_of(
        (1.0, partial(0, "", "It was", start_ms=0)),
        (3.0, final(0, "It was the best of times.", start_ms=0)),
    )
    log.positions = False

    found = word_latencies(log, WORDS)

    assert sorted(round(each.ms) for each in found.shown) == [200, 400, 1000, 1500, 1600, 2100]
    assert found.missed == 0
