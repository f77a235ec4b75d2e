"""What is kept of sessions that are over."""

import pickle

import pytest

from gateway.bench.client import SessionLog
from gateway.bench.plan import Kind, Load, Track, Visit
from gateway.bench.tally import Tally, window_s
from gateway.bench.words import TimedWord
from tests.gateway.bench.logs import BEGAN, final, log_of, partial

WORDS = (TimedWord("Yes", 500, 1200), TimedWord("no", 6000, 6500))
KINDS = (Kind(Track("a", bytes(32_000 * 10), WORDS)), Kind(Track("b", bytes(32_000))))
DONE = {"type": "done", "segments": 2}


def tally(sessions: int = 2, length_s: float = 10) -> Tally:
    visits = tuple(Visit(0, round(length_s * 10), i % 2) for i in range(sessions))
    return Tally(Load("ws://x", KINDS, visits, frame_ms=100), 600, BEGAN, BEGAN)


def spoken(index: int = 0) -> SessionLog:
    log: SessionLog = log_of(
        (1.4, partial(1300, "", "Yes")), (1.95, final(1400, "Yes.")), (9.0, DONE)
    )
    log.index, log.close_code = index, 1000
    return log


def refused(index: int) -> SessionLog:
    return SessionLog(index, 100, ended=BEGAN + 3, failure="refused with HTTP 503")


def test_a_run_is_cut_into_at_most_a_hundred_windows() -> None:
    assert window_s(20) == 2
    assert window_s(7200) == 72


def test_kinds_are_apart_and_together() -> None:
    both = tally()
    both.take(spoken(0))
    both.take(refused(1))

    assert [counts["sessions"] for counts in both.counts] == [1, 1]
    assert [counts["sessions_refused"] for counts in both.counts] == [0, 1]
    assert both.total("sessions") == 2
    assert both.total("sessions_failed") == 0
    assert both.by_kind["chunk_to_partial_ms"].summary(slice(0, 1))["count"] == 1
    assert both.by_kind["chunk_to_partial_ms"].summary(slice(1, 2))["count"] == 0
    assert both.failures == {"refused with HTTP 503"}
    assert both.close_codes == {"1000": 1}


def test_lost_words_and_finals_are_counted() -> None:
    one = tally()
    one.take(spoken())

    counts = one.counts[0]
    assert (counts["words_spoken"], counts["words_missed"]) == (2, 1)
    assert (counts["word_errors"], counts["words_compared"]) == (1, 2)
    assert (counts["finals"], counts["finals_missing"]) == (1, 1)


def test_who_vanished_lost_nothing() -> None:
    one, log = tally(), spoken()
    log.left = True
    log.events.pop()
    one.take(log)

    counts = one.counts[0]
    assert counts["sessions_vanished"] == 1
    assert counts["words_spoken"] == counts["finals_missing"] == counts["words_compared"] == 0
    assert one.by_kind["word_shown_ms"].summary()["count"] == 1
    assert not one.close_codes


def test_windows_know_who_was_there_and_what_came_to_an_end() -> None:
    one, log = tally(), spoken()
    log.began, log.ended = BEGAN + 1, BEGAN + 5
    one.take(log)
    one.take(refused(1))

    assert one.window_s == 2
    assert [*one.open_s[:4]] == pytest.approx([1, 2, 1, 0])
    assert (one.by_time[0]["began"], one.by_time[2]["ended"]) == (1, 1)
    assert one.by_time[1]["refused"] == 1
    assert one.by_time[2]["missing"] == 1
    assert one.by_window["chunk_to_partial_ms"].summary(slice(0, 1))["count"] == 1


def test_it_takes_no_more_memory_for_a_thousand_sessions_than_for_ten() -> None:
    many = tally(sessions=1000)
    sizes = []
    for index in range(1000):
        many.take(spoken(index))
        sizes.append(len(pickle.dumps(many)) if index in (9, 999) else 0)

    assert sizes[999] < sizes[9] * 1.001
