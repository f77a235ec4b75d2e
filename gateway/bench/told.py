"""Parts of a report in words, for terminal and page. Pure."""

from typing import Any

from gateway.bench.figures import DESCRIPTIONS

KIND_HEADINGS = ("", "sessions", "refused", "failed", "chunk → partial", "word → shown",
                 "words missed", "WER", "finals missing")  # fmt: skip
TREND_HEADINGS = ("", "first", "last")
TREND_COUNTS = ("minutes", "began", "refused", "failed", "missing")


def kind_cells(kind: dict[str, Any]) -> list[str]:
    """As in `KIND_HEADINGS`."""
    return [
        kind["name"], str(kind["sessions"]), str(kind["sessions_refused"]),
        str(kind["sessions_failed"]), pair(kind["chunk_to_partial_ms"]),
        pair(kind["word_shown_ms"]), f"{kind['words_missed']} of {kind['words_spoken']}",
        "–" if kind["wer"] is None else f"{kind['wer']:.1%}",
        f"{kind['finals_missing']} of {kind['finals'] + kind['finals_missing']}",
    ]  # fmt: skip


def pair(summary: dict[str, Any] | None) -> str:
    """p50 / p95."""
    if not summary or summary["p50"] is None:
        return "–"
    return f"{summary['p50']:.0f} / {summary['p95']:.0f}"


def held_sentence(held: dict[str, Any]) -> str:
    """Up to how many sessions a growing load was what was promised."""
    said = f"held {held['sessions']} sessions with {', '.join(held['objectives'])}"
    if held["broke_at_s"] is None:
        return f"{said}; it never broke"
    return (
        f"{said}; broke at {held['broke_at_s']:.0f} s with {held['broke_sessions']:.0f} sessions: "
        f"{'; '.join(held['reasons'])}"
    )


def trend_rows(trend: dict[str, Any]) -> list[list[str]]:
    """The first and the last part of a long run, as in `TREND_HEADINGS`."""
    first, last = trend["first"], trend["last"]
    rows = [
        [f"{name}, p50 / p95", pair(first.get(name)), pair(last.get(name))]
        for name in DESCRIPTIONS
        if name in first or name in last
    ]
    rows += [[name, str(first[name]), str(last[name])] for name in TREND_COUNTS]
    return rows


def growth_sentence(trend: dict[str, Any]) -> str:
    """How the server's memory grew."""
    if trend["gateway_mb_per_hour"] is None:
        return "too short to tell how memory grows"
    return (
        f"memory after the first tenth: gateway {trend['gateway_mb_per_hour']:+.1f} MB an hour, "
        f"model {trend['model_mb_per_hour']:+.1f}"
    )


def capitalised(sentence: str) -> str:
    """With its first letter large."""
    return sentence[:1].upper() + sentence[1:]
