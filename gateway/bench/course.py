"""How a run went over time: windows, up to where objectives held, and what changed in a long one.
Pure."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gateway.bench.capacity import Objective
from gateway.bench.figures import DESCRIPTIONS
from gateway.bench.tally import VOID_ABOVE_MS, Tally
from gateway.bench.usage import Usage

COUNTS = ("began", "ended", "refused", "failed", "missing")
BREAKS = ("refused", "failed", "missing")
"""Of which one is too many."""
FEWEST = 5
"""Latencies that a window must have to be judged by."""
SHARE = 10
"""The first and the last of so many parts of a long run are compared."""
LATE = Objective("send_late_ms", "p99", VOID_ABOVE_MS)

Row = dict[str, Any]


def course(tally: Tally, usage: Sequence[Usage]) -> list[Row]:
    """A row for each window, up to the last in which there was anybody.

    ``at_s`` is a window's middle; ``sessions`` how many were there on average; counts and latencies
    are of what ended in it.
    """
    there = [i for i in range(tally.windows) if tally.open_s[i] or tally.by_time[i]]
    rows = []
    for i in range(max(there, default=-1) + 1):
        counts = tally.by_time[i]
        row: Row = {
            "at_s": round((i + 0.5) * tally.window_s, 1),
            "sessions": round(float(tally.open_s[i]) / tally.window_s, 1),
            **{name: counts[name] for name in COUNTS},
        }
        row |= _measured(tally, slice(i, i + 1))
        rows.append(row | _used(tally, usage, i))
    return rows


def _measured(tally: Tally, rows: slice) -> Row:
    """Of some windows: all figures of which there are any."""
    found = {name: tally.by_window[name].summary(rows) for name in DESCRIPTIONS}
    return {name: each for name, each in found.items() if each["count"]}


def _used(tally: Tally, usage: Sequence[Usage], window: int) -> Row:
    within = [each for each in usage if each.at >= tally.began and tally.window(each.at) == window]
    if not within:
        return {}
    return {name: round(float(np.mean([getattr(each, name) for each in within])), 3)
            for name in Usage._fields if name != "at"}  # fmt: skip


def held(rows: Sequence[Row], objectives: Sequence[Objective]) -> Row:
    """Up to how many sessions all objectives held, of a load that grows.

    They are broken by two windows in a row that break one, as a single one may be the machine's
    fault; by a session that is refused or fails, or a message that is missing, at once.
    """
    judged = [row for row in rows if row["sessions"] >= 1]
    reasons = [_reasons(row, objectives) for row in judged]
    for i, row in enumerate(judged):
        lasting = reasons[i] and (i + 1 == len(judged) or reasons[i + 1])
        if lasting or any(row[name] for name in BREAKS):
            before = judged[:i]
            return {
                "sessions": int(max((each["sessions"] for each in before), default=0)),
                "broke_at_s": row["at_s"], "broke_sessions": row["sessions"],
                "reasons": reasons[i], "objectives": _told(objectives),
            }  # fmt: skip
    most = max((row["sessions"] for row in judged), default=0)
    return {"sessions": int(most), "broke_at_s": None, "broke_sessions": None, "reasons": [],
            "objectives": _told(objectives)}  # fmt: skip


def _reasons(row: Row, objectives: Sequence[Objective]) -> list[str]:
    found = [f"{name} {row[name]}" for name in BREAKS if row[name]]
    for name, percentile, most_ms in (*objectives, LATE):
        measured = row.get(name, {"count": 0})
        if measured["count"] >= FEWEST and measured[percentile] > most_ms:
            found.append(f"{name} {percentile} {measured[percentile]:.0f} > {most_ms:.0f}")
    return found


def _told(objectives: Sequence[Objective]) -> list[str]:
    return [f"{name} {percentile} ≤ {most_ms:.0f}" for name, percentile, most_ms in objectives]


def trend(tally: Tally, usage: Sequence[Usage]) -> Row:
    """The first and the last tenth of a long run, and how the server's memory grew: the slope of
    a straight line, in MB an hour, from the end of the first tenth on."""
    ends = tally.window(tally.began + tally.load.ends_s)
    part = max(1, ends // SHARE)
    parts = {"first": slice(0, part), "last": slice(max(0, ends - part), ends)}
    settled = tally.began + part * tally.window_s
    until = tally.began + tally.load.ends_s
    kept = [each for each in usage if settled <= each.at <= until]
    return {
        **{name: _part(tally, rows) for name, rows in parts.items()},
        "gateway_mb_per_hour": slope([(each.at, each.gateway_mb) for each in kept]),
        "model_mb_per_hour": slope([(each.at, each.model_mb) for each in kept]),
    }


def _part(tally: Tally, rows: slice) -> Row:
    counts = tally.by_time[rows]
    return {
        "minutes": round(len(counts) * tally.window_s / 60, 1),
        **{name: sum(each[name] for each in counts) for name in COUNTS},
        **_measured(tally, rows),
    }


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Of the straight line nearest to values over seconds, by the hour; None: too few points."""
    if len(points) < 3:
        return None
    at, values = np.array(points).T
    return round(float(np.polyfit(at - at[0], values, 1)[0]) * 3600, 1)
