"""How a run went over time."""

from typing import Any

import pytest

from gateway.bench.capacity import Objective
from gateway.bench.course import course, held, slope, trend
from gateway.bench.plan import Kind, Load, Track, Visit
from gateway.bench.tally import Tally
from gateway.bench.usage import Usage
from tests.gateway.bench.logs import BEGAN, log_of, partial

PROMISED = [Objective("word_shown_ms", "p95", 1000)]


def row(sessions: float, p95: float = 500, count: int = 20, **more: Any) -> dict[str, Any]:
    counts = dict.fromkeys(("refused", "failed", "missing"), 0)
    latencies = {"p95": p95, "count": count}
    on_time = {"p99": 2.0, "count": 99}
    return {"at_s": sessions, "sessions": sessions, **counts, "word_shown_ms": latencies,
            "send_late_ms": on_time, **more}  # fmt: skip


def verdict(*rows: dict[str, Any]) -> tuple[int, float | None, list[str]]:
    found = held(rows, PROMISED)
    return found["sessions"], found["broke_at_s"], found["reasons"]


def test_a_load_that_never_broke_was_held_at_its_most() -> None:
    assert verdict(row(0.4, 9000), row(5.5), row(23.9), row(11)) == (23, None, [])
    assert verdict() == (0, None, [])


def test_it_broke_where_two_windows_in_a_row_are_beyond_what_was_promised() -> None:
    rows = row(10), row(20, 1500), row(30), row(40, 1500), row(50, 2500)

    assert verdict(*rows) == (30, 40, ["word_shown_ms p95 1500 > 1000"])


def test_the_last_window_counts_alone_and_one_with_few_latencies_not_at_all() -> None:
    assert verdict(row(10), row(20, 1500)) == (10, 20, ["word_shown_ms p95 1500 > 1000"])
    assert verdict(row(10), row(20, 1500, count=4), row(30))[1] is None


@pytest.mark.parametrize("name", ["refused", "failed", "missing"])
def test_one_session_that_is_lost_breaks_it_at_once(name: str) -> None:
    assert verdict(row(10), row(20, **{name: 1}), row(30)) == (10, 20, [f"{name} 1"])


def test_a_load_generator_that_is_late_breaks_it_too() -> None:
    late = {"p99": 150.0, "count": 99}

    found = verdict(row(10), row(20, send_late_ms=late), row(30, send_late_ms=late))

    assert found == (10, 20, ["send_late_ms p99 150 > 100"])


def played(length_s: float) -> Tally:
    load = Load("ws://x", (Kind(Track("a", b"")),), (Visit(0, round(length_s * 10)),), frame_ms=100)
    tally = Tally(load, 600, BEGAN, BEGAN)
    partials = [
        (at + 0.1 + at / 100, partial(at * 1000, revision=at)) for at in range(1, round(length_s))
    ]
    tally.take(log_of(*partials, seconds=length_s))
    return tally


def used(length_s: float) -> list[Usage]:
    return [
        Usage(BEGAN + at, 0.5, 0.1, 100 + at / 36, 50.0, 0.1, 1.0) for at in range(int(length_s))
    ]


def test_rows_have_sessions_latencies_and_usage() -> None:
    rows = course(played(10), used(10))

    assert [each["at_s"] for each in rows] == [1, 3, 5, 7, 9, 11]
    assert [each["sessions"] for each in rows] == [1] * 5 + [0]
    assert [each["chunk_to_partial_ms"]["count"] for each in rows[:5]] == [1, 2, 2, 2, 2]
    assert rows[0]["gateway_cores"] == 0.5
    assert rows[0]["began"] == rows[5]["ended"] == 1
    assert "word_shown_ms" not in rows[0]


def test_a_trend_compares_tenths_and_tells_how_memory_grew() -> None:
    found = trend(played(100), used(100))

    assert found["first"]["minutes"] == found["last"]["minutes"] == pytest.approx(10 / 60, abs=0.04)
    first, last = (found[part]["chunk_to_partial_ms"]["p50"] for part in ("first", "last"))
    assert 100 < first < 250
    assert 1000 < last < 1150
    assert found["gateway_mb_per_hour"] == pytest.approx(100, abs=0.2)
    assert found["model_mb_per_hour"] == 0


def test_a_slope_needs_three_points() -> None:
    assert slope([(0, 1), (1, 2)]) is None
    assert slope([(0, 1), (1800, 2), (3600, 3)]) == 2
