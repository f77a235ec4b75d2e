"""Latencies of timelines whose answers are known."""

from typing import Any

import pytest

from gateway.bench.figures import DESCRIPTIONS, Follower, Measures, Timeline
from tests.gateway.bench.logs import BEGAN, ended, final, log_of, partial, started


def measures(log: Any, since: float = 0.0) -> Measures:
    follower = Follower(log, endpoint_ms=600, since=since)
    follower.follow()
    return follower.measures


def values(log: Any, name: str) -> list[Any]:
    return [pytest.approx(each.ms, abs=0.01) for each in measures(log)[name]]


def test_a_sample_is_sent_with_the_frame_that_holds_it() -> None:
    clock = Timeline(log_of(seconds=1))

    assert clock.sent(1) == pytest.approx(BEGAN + 0.1)
    assert clock.sent(100) == pytest.approx(BEGAN + 0.1)
    assert clock.sent(101) == pytest.approx(BEGAN + 0.2)
    assert clock.sent(0) == pytest.approx(BEGAN + 0.1)
    assert clock.sent(5000) == pytest.approx(BEGAN + 1.0)
    assert clock.spoken(250) == pytest.approx(BEGAN + 0.25)


def test_chunk_to_partial_begins_with_the_last_sample_that_the_partial_covers() -> None:
    log = log_of((2.45, partial(2160)), (4.3, partial(4200, revision=2)))

    assert values(log, "chunk_to_partial_ms") == [250, 100]  # sent at 2.2 and 4.2


def test_with_the_wait_it_begins_with_the_first_sample_that_no_text_covered() -> None:
    log = log_of((0.6, started(500)), (2.45, partial(2160)), (4.3, partial(4200, revision=2)))

    assert values(log, "chunk_to_text_with_wait_ms") == [1950, 2100]  # sent at 0.5 and 2.2


def test_a_final_counts_as_text_where_no_partial_came() -> None:
    log = log_of((0.6, started(500)), (1.9, ended(1200)), (2.0, final(1400, "Yes.")))

    assert values(log, "chunk_to_text_with_wait_ms") == [1500]
    assert values(log, "first_text_ms") == [1500]
    assert values(log, "first_partial_ms") == []
    assert values(log, "chunk_to_partial_ms") == []


def test_a_final_that_covers_no_more_than_the_partial_made_nobody_wait() -> None:
    log = log_of(
        (0.6, started(500)), (1.5, partial(1400)), (1.9, ended(1200)), (2.0, final(1400, "Yes."))
    )

    assert values(log, "chunk_to_text_with_wait_ms") == [1000]


def test_an_empty_final_is_no_text() -> None:
    log = log_of((0.6, started(500)), (1.9, ended(1200)), (2.0, final(1400)))

    assert values(log, "first_text_ms") == []
    assert values(log, "final_ms") == [800]


def test_first_partial_and_first_text_begin_where_speech_started() -> None:
    log = log_of((0.6, started(500)), (2.45, partial(2160)), (4.3, partial(4200, revision=2)))

    assert values(log, "first_partial_ms") == [1950]
    assert values(log, "first_text_ms") == [1950]


def test_a_final_is_late_by_what_is_beyond_the_endpoint() -> None:
    log = log_of((0.6, started(500)), (1.9, ended(1200)), (1.95, final(1400, "Yes.")))

    assert values(log, "final_ms") == [750]
    assert values(log, "final_after_endpoint_ms") == [150]


@pytest.mark.parametrize("reason", ["length", "stop", "finalize", "drain"])
def test_finals_that_no_silence_closed_have_no_such_latency(reason: str) -> None:
    log = log_of((1.9, ended(1200)), (1.95, final(1400, "Yes.", reason=reason)))

    assert values(log, "final_ms") == []


def test_the_next_speech_may_start_before_the_final_of_the_last() -> None:
    log = log_of(
        (0.6, started(500)), (1.9, ended(1200)), (2.4, started(2300)), (2.5, final(1400, "Yes.")),
        (3.2, partial(3000, segment=2, start_ms=2000)),
    )  # fmt: skip

    assert values(log, "final_ms") == [1300]
    assert values(log, "first_partial_ms") == [900]
    assert values(log, "first_text_ms") == [2000, 900]


def test_cadence_is_the_audio_between_two_partials() -> None:
    log = log_of((2.45, partial(2200)), (4.3, partial(4260, revision=2)))

    assert values(log, "cadence_ms") == [2000, 2060]


def test_conflated_partials_are_counted_by_their_revisions() -> None:
    follower = Follower(log_of((2.4, partial(2200)), (8.0, partial(7900, revision=4))), 600)

    follower.follow()

    assert follower.conflated == 2


def test_warm_up_is_not_measured() -> None:
    log = log_of((2.45, partial(2160)), (4.3, partial(4200, revision=2)))

    assert len(measures(log, since=BEGAN + 4)["chunk_to_partial_ms"]) == 1


def test_sending_late_is_measured_and_does_not_flatter_the_server() -> None:
    log = log_of((2.45, partial(2160)), late_s=0.2)

    assert values(log, "send_late_ms")[:2] == [200, 200]
    assert values(log, "chunk_to_partial_ms") == [50]


def test_a_session_that_sent_nothing_has_no_figures() -> None:
    log = log_of(seconds=0)
    log.connected_s = None

    assert not any(measures(log).values())


def test_messages_that_the_server_numbered_and_that_never_came_are_counted() -> None:
    log = log_of((0.6, {**started(500), "seq": 1}), (2.0, {**partial(1900), "seq": 4}))

    assert log.missing == 2


def test_connections_are_measured_and_what_was_due_without_one_is_not_late() -> None:
    log = log_of(late_s=0.0)
    log.away = (BEGAN + 2, BEGAN + 3.5)
    for frame in range(20, 34):
        log.sent[frame] = BEGAN + 3.5  # said when it was back

    assert values(log, "connect_ms") == [20]
    assert values(log, "resume_ms") == [1500]
    assert max(each.ms for each in measures(log)["send_late_ms"]) == pytest.approx(0, abs=0.01)


def test_every_latency_says_whether_the_wait_is_in_it() -> None:
    for name, text in DESCRIPTIONS.items():
        assert any(word in text for word in ("With the wait", "Without the wait")) or name in (
            "cadence_ms", "connect_ms", "resume_ms", "send_late_ms",
        )  # fmt: skip
