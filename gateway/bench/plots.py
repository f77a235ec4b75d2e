"""The plots of a run's page. Pure."""

from collections.abc import Sequence
from typing import Any

from gateway.bench.charts import Point, Series, chart, thinned
from gateway.bench.course import Row
from gateway.bench.report import Run

CUMULATIVE = ("chunk_to_partial_ms", "chunk_to_text_with_wait_ms", "final_ms", "word_shown_ms")
OVER_TIME = (
    ("chunk_to_partial_ms", "Chunk to partial over time, without the wait (ms)"),
    ("word_shown_ms", "Word spoken to shown over time (ms)"),
)
CORES = ("gateway_cores", "model_cores", "generator_cores", "machine_cores")
MEMORY = ("gateway_mb", "model_mb")
HOURS_FROM_S, MINUTES_FROM_S = 7200, 600
"""Times are told in hours, or minutes, of runs that are at least so long."""


def plots(run: Run, result: dict[str, Any]) -> list[str]:
    """Headings and charts: all there is something to show of."""
    rows: list[Row] = result["course"]
    unit, second = _unit(rows[-1]["at_s"] if rows else 0)
    shares = [
        Series(name, thinned(run.tally.by_kind[name].cumulative(), 200))
        for name in CUMULATIVE
        if result[name]["count"]
    ]

    def over_time(name: str, label: str, *path: str) -> Series:
        return Series(label, _points(rows, "at_s", second, name, *path))

    def timed(title: str, series: Sequence[Series], y_label: str) -> list[str]:
        shown = [each for each in series if any(y for _, y in each.points)]
        return [f"<h2>{title}</h2>", chart(shown, f"{unit} since the run began", y_label)]

    parts = [
        "<h2>How many came within so long (% of all, ms)</h2>",
        chart(shares, "ms", "share of all, percent"),
    ]
    for name, title in OVER_TIME:
        if result[name]["count"]:
            lines = [over_time(name, p, p) for p in ("p50", "p95")]
            parts += timed(title, lines, "latency in ms")
    sessions = [over_time("sessions", "sessions"), *(
        over_time(name, f"{name} in the window") for name in ("refused", "failed", "missing")
    )]  # fmt: skip
    parts += timed("Sessions over time", sessions, "sessions")
    if result["held"]:
        parts += _by_sessions(rows, result["held"])
    parts += timed("CPU over time (cores)",
                   [over_time(name, name.removesuffix("_cores")) for name in CORES],
                   "CPU cores in use")  # fmt: skip
    if any(row.get("gateway_mb") for row in rows):
        parts += timed("Memory over time (MB, resident)",
                       [over_time(name, name.removesuffix("_mb")) for name in MEMORY],
                       "MB")  # fmt: skip
    return parts


def _by_sessions(rows: Sequence[Row], held: dict[str, Any]) -> list[str]:
    """Latency and CPU against how many sessions there were, where they became more."""
    most = max((row["sessions"] for row in rows), default=0)
    growing = rows[: next((i + 1 for i, row in enumerate(rows) if row["sessions"] >= most), 0)]
    lines = [
        Series(f"{name} p95", _points(growing, "sessions", 1, name, "p95")) for name, _ in OVER_TIME
    ]
    cores = [
        Series(name.removesuffix("_cores"), _points(growing, "sessions", 1, name)) for name in CORES
    ]
    mark = held["sessions"] if held["broke_at_s"] is not None else None
    return [
        "<h2>Latency by sessions at the time (p95, ms)</h2>",
        chart([s for s in lines if s.points], "sessions", "latency in ms", mark=mark),
        "<h2>CPU by sessions at the time (cores)</h2>",
        chart(cores, "sessions", "CPU cores in use", mark=mark),
    ]


def _points(rows: Sequence[Row], x: str, scale: float, *path: str) -> list[Point]:
    points = []
    for row in rows:
        value: Any = row
        for name in path:
            value = value.get(name) if value is not None else None
        if value is not None:
            points.append((row[x] / scale, max(0.0, float(value))))
    return points


def _unit(lasts_s: float) -> tuple[str, float]:
    if lasts_s >= HOURS_FROM_S:
        return "hours", 3600
    return ("minutes", 60) if lasts_s >= MINUTES_FROM_S else ("seconds", 1)
