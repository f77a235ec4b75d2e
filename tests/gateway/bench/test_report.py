"""What a run comes to, from logs made by hand."""

from typing import Any

import pytest
from rich.console import Console

from gateway.bench.page import page
from gateway.bench.plan import Kind, Load, Track, Visit
from gateway.bench.printed import print_summary
from gateway.bench.report import Run, report
from gateway.bench.tally import Tally
from gateway.bench.usage import Usage
from gateway.bench.words import TimedWord
from tests.gateway.bench.logs import BEGAN, ended, final, log_of, partial, started

DONE = {"type": "done", "segments": 1, "duration_ms": 3000, "totals": {}}
TRACK = Track("<x>.wav", bytes(2 * 16_000 * 2), (TimedWord("Yes", 500, 1200),), "Yes.")
"""2 s, and 1 s of silence: 30 frames."""


def run(
    *events: tuple[float, dict[str, Any]], track: Track = TRACK, late_s: float = 0.0,
    failure: str = "",
) -> Run:  # fmt: skip
    log = log_of(*events, seconds=3, late_s=late_s)
    log.close_code, log.failure = 1000, failure
    load = Load("ws://x", (Kind(track),), (Visit(0, 30),), frame_ms=100)
    tally = Tally(load, 600, BEGAN, BEGAN)
    tally.take(log)
    usage = [Usage(BEGAN + 1, 0.25, 0.5, 100.0, 300.0, 0.1, 1.5)]
    return Run({"chunk_ms": "2000"}, tally, usage)


def speech() -> Run:
    return run(
        (0.6, started(500)), (1.4, partial(1300, "", "Yes")), (1.9, ended(1200)),
        (1.95, final(1400, "Yes.")), (3.0, DONE),
    )  # fmt: skip


def test_a_report_has_figures_counts_words_usage_and_circumstances() -> None:
    result = report(speech())

    assert result["chunk_to_partial_ms"]["p95"] == pytest.approx(100, rel=0.01)
    assert result["word_shown_ms"]["p50"] == pytest.approx(200, rel=0.01)
    assert result["word_stable_ms"]["p50"] == pytest.approx(750, rel=0.01)
    assert (result["wer"], result["words"]) == (0.0, {"spoken": 1, "missed": 0})
    assert result["void"] == []
    assert result["counts"]["close_codes"] == {"1000": 1}
    assert result["usage"]["gateway_cores"] == 0.25
    assert result["machine"]["cores"] >= 1
    assert "websockets" in result["versions"]


def test_a_load_generator_that_is_late_voids_the_run() -> None:
    result = report(run((1.4, partial(1300, "", "Yes")), late_s=0.15))

    [reason] = result["void"]
    assert "fell behind" in reason
    assert result["counts"]["frames_sent_late"] == 30


def test_a_final_that_never_came_is_counted() -> None:
    assert report(run((3.0, DONE)))["counts"]["finals_missing"] == 1


def test_a_reference_without_times_counts_only_where_it_was_spoken_to_its_end() -> None:
    whole = Track("x", bytes(2 * 16_000 * 2), reference="Yes, no.")
    half = Track("x", bytes(2 * 16_000 * 4), reference="Yes, no.")
    events = ((1.95, final(1400, "Yes.")), (3.0, DONE))

    assert report(run(*events, track=whole))["wer"] == 0.5
    assert report(run(*events, track=half))["wer"] is None


def test_a_session_that_failed_says_why() -> None:
    counts = report(run(failure="closed with 1006 before it was done"))["counts"]

    assert counts["sessions_failed"] == 1
    assert counts["failures"] == ["closed with 1006 before it was done"]


def test_the_page_escapes_what_it_is_given() -> None:
    made = speech()
    made.options["audio"] = "<x>.wav"

    text = page(made, report(made))

    assert "<x>" not in text
    assert "&lt;x&gt;" in text


def test_the_summary_leaves_out_what_was_not_measured() -> None:
    console = Console(width=200, record=True)

    print_summary(console, report(run((1.4, partial(1300, "", "Yes")), late_s=0.15)))

    text = console.export_text()
    assert "chunk_to_partial_ms" in text
    assert "final_ms" not in text
    assert "This run is void" in text
