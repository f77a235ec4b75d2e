"""Servers side by side: how they are named, and what is shown of them."""

import pytest
from rich.console import Console

from gateway.bench.compare import Row, comparison_page, print_comparison, read_rival
from gateway.bench.histogram import Summary
from gateway.bench.plan import Kind, Track
from gateway.bench.server import Server


def summary(latencies: list[float]) -> Summary:
    if not latencies:
        return {"p50": None, "p95": None}
    return {"p50": min(latencies), "p95": max(latencies)}


def row(name: str, sessions: int, latencies: list[float]) -> Row:
    usage = {
        "gateway_cores": 0.25, "model_cores": 0.5, "others_cores": 0.1, "gateway_peak_mb": 100,
        "model_peak_mb": 200,
    }  # fmt: skip
    report = {
        "word_shown_ms": summary(latencies), "word_stable_ms": summary([]), "wer": 0.034,
        "words": {"spoken": 40, "missed": 2}, "usage": usage, "void": [], "held": None,
        "counts": {"sessions_failed": 0, "failures": []},
    }  # fmt: skip
    return Row(name, sessions, report, "")


ROWS = [row("ours", 1, [100, 200]), row("<theirs>", 1, [900, 900]), Row("gone", 1, None, "refused")]


def test_a_server_is_named_with_its_address_protocol_and_process() -> None:
    rival = read_rival("them=ws://h:9090/x?a=b,protocol=whisperlive,pid=12")

    assert rival == ("them", Server("ws://h:9090/x?a=b", 12), "whisperlive")
    assert read_rival("us=ws://h") == ("us", Server("ws://h", None), None)


def test_kinds_are_spoken_as_the_server_wants_it_and_else_as_they_are() -> None:
    kinds = [Kind(Track("x", b""), "deepgram", "en", 2)]

    [other] = read_rival("them=ws://h,protocol=openai").kinds(kinds)
    [same] = read_rival("us=ws://h").kinds(kinds)

    assert (other.protocol, other.language, other.weight) == ("openai", "en", 2)
    assert same == kinds[0]


@pytest.mark.parametrize(
    "text",
    ["ws://h", "=ws://h", "a=", "a=ws://h,protocol=smoke", "a=ws://h,pid=me", "a=ws://h,x=1"],
)
def test_anything_else_is_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"--compare takes NAME=URL"):
        read_rival(text)


def test_a_row_says_latency_errors_cores_and_memory() -> None:
    assert ROWS[0].cells() == [
        "1", "ours", "100", "200", "–", "2 of 40", "3.4%", "0", "0.75", "0.10", "300", "",
    ]  # fmt: skip
    assert ROWS[2].cells()[-1] == "refused"


def test_a_growing_load_tells_how_many_each_server_held() -> None:
    assert ROWS[0].report is not None
    held = {"sessions": 7, "broke_at_s": None, "objectives": ["word_shown_ms p95 ≤ 1000"]}

    cells = Row("ours", 9, ROWS[0].report | {"held": held}, "").cells()

    assert cells[-1] == "held 7 sessions with word_shown_ms p95 ≤ 1000; it never broke"


def test_a_server_that_runs_elsewhere_has_no_cores_here() -> None:
    assert ROWS[0].report is not None
    usage = dict.fromkeys(ROWS[0].report["usage"], 0.0)

    cells = Row("far", 1, ROWS[0].report | {"usage": usage}, "").cells()

    assert cells[8:11] == ["–", "–", "–"]


def test_table_and_page_show_every_server() -> None:
    console = Console(width=200, record=True)
    print_comparison(console, ROWS)
    page = comparison_page(ROWS)

    printed = console.export_text()
    assert all(name in printed for name in ("ours", "<theirs>", "gone", "refused"))
    assert "&lt;theirs&gt;" in page
    assert "<theirs>" not in page
    assert page.count("<svg") == 2
    assert "http" not in page
