"""Parts of a report in words."""

from typing import Any

from gateway.bench.told import capitalised, growth_sentence, held_sentence, kind_cells, trend_rows

LATENCY = {"p50": 120.4, "p95": 800.0}


def held(**changes: Any) -> dict[str, Any]:
    return {"sessions": 23, "broke_at_s": None, "broke_sessions": None, "reasons": [],
            "objectives": ["word_shown_ms p95 ≤ 1000"]} | changes  # fmt: skip


def test_how_many_it_held_is_one_sentence() -> None:
    assert held_sentence(held()) == (
        "held 23 sessions with word_shown_ms p95 ≤ 1000; it never broke"
    )
    broken = held(broke_at_s=81.4, broke_sessions=24.6, reasons=["refused 2"])
    assert held_sentence(broken).endswith("; broke at 81 s with 25 sessions: refused 2")


def test_a_kind_is_a_row() -> None:
    kind = {
        "name": "native a", "sessions": 5, "sessions_refused": 1, "sessions_failed": 0,
        "chunk_to_partial_ms": LATENCY, "word_shown_ms": {"p50": None}, "words_missed": 2,
        "words_spoken": 40, "wer": 0.05, "finals_missing": 1, "finals": 9,
    }  # fmt: skip

    assert kind_cells(kind) == [
        "native a", "5", "1", "0", "120 / 800", "–", "2 of 40", "5.0%", "1 of 10",
    ]  # fmt: skip
    assert kind_cells(kind | {"wer": None})[7] == "–"


def test_a_trend_has_the_figures_that_either_end_has_and_all_counts() -> None:
    counts = {"minutes": 12.0, "began": 3, "refused": 0, "failed": 0, "missing": 1}
    rows = trend_rows({"first": counts, "last": {**counts, "word_shown_ms": LATENCY}})

    assert rows[0] == ["word_shown_ms, p50 / p95", "–", "120 / 800"]
    assert rows[1] == ["minutes", "12.0", "12.0"]
    assert len(rows) == 6


def test_memory_grows_by_the_hour() -> None:
    trend = {"gateway_mb_per_hour": 1.25, "model_mb_per_hour": -0.5}

    assert growth_sentence(trend).endswith("gateway +1.2 MB an hour, model -0.5")
    assert "too short" in growth_sentence({"gateway_mb_per_hour": None})
    assert capitalised("held 3") == "Held 3"
