"""Which plots a page has."""

from typing import Any

from gateway.bench.plan import Kind, Load, Track, Visit
from gateway.bench.plots import plots
from gateway.bench.report import Run, report
from gateway.bench.tally import Tally
from gateway.bench.usage import Usage
from tests.gateway.bench.logs import BEGAN, log_of, partial


def plotted(length_s: float = 10, memory_mb: float = 0.0, **changes: Any) -> str:
    load = Load("ws://x", (Kind(Track("a", b"")),), (Visit(0, round(length_s * 10)),), frame_ms=100)
    tally = Tally(load, 600, BEGAN, BEGAN)
    tally.take(log_of((1.4, partial(1300)), seconds=length_s))
    run = Run({}, tally, [Usage(BEGAN + 1, 0.25, 0.5, memory_mb, 0, 0.1, 1.5)], **changes)
    return "".join(plots(run, report(run)))


def headings(text: str) -> list[str]:
    return [part.partition("</h2>")[0] for part in text.split("<h2>")[1:]]


def test_only_what_there_is_is_plotted() -> None:
    assert headings(plotted()) == [
        "How many came within so long (% of all, ms)",
        "Chunk to partial over time, without the wait (ms)",
        "Sessions over time",
        "CPU over time (cores)",
    ]
    assert headings(plotted(memory_mb=80))[-1] == "Memory over time (MB, resident)"


def test_a_growing_load_is_plotted_by_its_sessions_too() -> None:
    found = headings(plotted(promised=[]))

    assert "Latency by sessions at the time (p95, ms)" in found
    assert "CPU by sessions at the time (cores)" in found


def test_long_runs_are_told_in_minutes_and_hours() -> None:
    assert "seconds since the run began" in plotted(60)
    assert "minutes since the run began" in plotted(700)
    assert "hours since the run began" in plotted(7300)
