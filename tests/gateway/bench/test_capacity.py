"""The search for the largest number of sessions, with probes that cost nothing."""

from typing import Any

import pytest

from gateway.bench.capacity import (
    Probe,
    capacity,
    objectives,
    read_objective,
    search,
    shortfalls,
)


def searched(fits: int, *, start: int = 1, most: int = 256) -> tuple[list[int], int]:
    """What was tried on a server that can have ``fits`` sessions, and what was found."""

    def probe(sessions: int) -> Probe:
        return Probe(sessions, () if sessions <= fits else ("too slow",), {})

    probes = search(probe, start=start, most=most)
    return [each.sessions for each in probes], capacity(probes)


def test_it_doubles_then_bisects() -> None:
    assert searched(11) == ([1, 2, 4, 8, 16, 12, 10, 11], 11)


@pytest.mark.parametrize("fits", [*range(40), 99, 100, 255, 256])
@pytest.mark.parametrize("start", [1, 3, 8])
def test_it_finds_the_largest_that_fits(fits: int, start: int) -> None:
    tried, found = searched(fits, start=start)

    assert found == fits
    assert len(tried) == len(set(tried)) < 18


def test_it_stops_at_the_most_that_may_be_tried() -> None:
    assert searched(1000, start=8, most=20) == ([8, 16, 20], 20)


def test_a_server_that_cannot_have_one_session_has_none() -> None:
    assert searched(0) == ([1], 0)


def result(**changes: Any) -> dict[str, Any]:
    p95 = {"chunk_to_partial_ms": 900.0, "chunk_to_text_with_wait_ms": 2900.0} | {
        name: each for name, each in changes.items() if name.endswith("_ms")
    }
    zero = dict.fromkeys(("sessions_failed", "errors", "messages_missing", "finals_missing"), 0)
    counts = zero | {name: each for name, each in changes.items() if name in zero}
    return {
        **{name: {"p95": each} for name, each in p95.items()},
        "counts": counts,
        "void": changes.get("void", []),
    }


def test_a_run_within_all_limits_has_no_shortfall() -> None:
    assert shortfalls(result(), objectives(1000, 2000, 1)) == ()
    assert shortfalls(result(), objectives(1000, None, 1)) == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"chunk_to_partial_ms": 1001.0}, "chunk_to_partial_ms p95 1001 > 1000"),
        ({"chunk_to_text_with_wait_ms": 3200.0}, "chunk_to_text_with_wait_ms p95 3200 > 3000"),
        ({"chunk_to_partial_ms": None}, "chunk_to_partial_ms has no values"),
        ({"void": ["the load generator fell behind"]}, "void: the load generator fell behind"),
        ({"sessions_failed": 1}, "sessions_failed 1"),
        ({"finals_missing": 2}, "finals_missing 2"),
    ],
)
def test_every_shortfall_is_said(changes: dict[str, Any], reason: str) -> None:
    assert shortfalls(result(**changes), objectives(1000, 2000, 1)) == (reason,)


def test_other_objectives_take_the_place_of_the_usual_two() -> None:
    promised = objectives(1, 2000, 1, [read_objective("word_shown_ms.p95=1000")])
    slow = result(chunk_to_partial_ms=None, word_shown_ms=1200.0)

    assert shortfalls(slow, promised) == ("word_shown_ms p95 1200 > 1000",)
    assert shortfalls(result(word_shown_ms=900.0), promised) == ()


@pytest.mark.parametrize(
    "text", ["p95_ms=1", "word_shown_ms=1", "final_ms.p42=1", "final_ms.p95=x"]
)
def test_an_objective_of_nothing_is_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"--slo takes FIGURE\.PERCENTILE=MS"):
        read_objective(text)
