"""What a run came to, as plain data for JSON, and as a table for the terminal."""

import importlib.metadata
import os
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from gateway.bench.client import SessionLog
from gateway.bench.figures import DESCRIPTIONS, Follower, Measures, merged, summary
from gateway.bench.plan import Load
from gateway.bench.spoken import transcript, word_error_rate, word_latencies
from gateway.bench.usage import Usage, mean_usage

VOID_ABOVE_MS = 100.0
"""A load generator that sends this late (p99) measures itself."""
PACKAGES = ("scribewire", "websockets", "uvicorn", "uvloop", "numpy", "onnxruntime")


@dataclass(slots=True)
class Run:
    """A load that was played."""

    load: Load
    options: dict[str, Any]
    """All that was asked for, for the report."""
    endpoint_ms: int
    began: float
    """By `time.monotonic`."""
    since: float
    """End of the warm-up."""
    logs: list[SessionLog]
    usage: list[Usage] = field(default_factory=list)
    measures: Measures = field(default_factory=dict)
    words: dict[str, int] = field(default_factory=lambda: {"spoken": 0, "missed": 0})
    conflated: int = 0

    def measure(self) -> None:
        """Fills `measures`, `words` and `conflated` from the logs."""
        followers = [Follower(log, self.endpoint_ms, self.since) for log in self.logs]
        for follower in followers:
            follower.follow()
            self._measure_words(follower)
        self.measures = merged(follower.measures for follower in followers)
        self.conflated = sum(follower.conflated for follower in followers)

    def _measure_words(self, follower: Follower) -> None:
        log = follower.log
        found = word_latencies(log, self._spoken(log), self.since)
        follower.measures["word_shown_ms"] = found.shown
        follower.measures["word_stable_ms"] = found.stable
        self.words["spoken"] += found.spoken
        self.words["missed"] += found.missed

    def _spoken(self, log: SessionLog) -> list[Any]:
        track, frame_ms = self.load.track(log.index), self.load.frame_ms
        return list(track.spoken(track.period_ms(frame_ms), len(log.sent) * frame_ms))

    def references(self) -> list[tuple[str, str]]:
        """What each session's speakers said, and what was heard; only of what is known."""
        pairs = []
        for log in self.logs:
            track = self.load.track(log.index)
            words = [word.word for word in self._spoken(log)]
            turns, rest = divmod(len(log.sent), len(track.frames(self.load.frame_ms)))
            if words:
                pairs.append((" ".join(words), transcript(log)))
            elif track.reference and not rest:
                pairs.append((" ".join([track.reference] * turns), transcript(log)))
        return pairs

    @property
    def until(self) -> float:
        """When the last session stopped speaking."""
        return self.began + self.load.stagger_s + self.load.duration_s


def report(run: Run) -> dict[str, Any]:
    """The run as JSON; times in ms."""
    late = summary([late.ms for late in run.measures["send_late_ms"]])
    usage = mean_usage(run.usage, max(run.since, run.began + run.load.stagger_s), run.until)
    return {
        **{name: _described(name, run.measures) for name in DESCRIPTIONS},
        "void": _void(late),
        "counts": _counts(run),
        "words": run.words,
        "wer": word_error_rate(run.references()),
        "usage": usage._asdict() if usage else None,
        "options": run.options,
        "machine": machine(),
        "versions": versions(),
    }


def _described(name: str, measures: Measures) -> dict[str, Any]:
    return summary([each.ms for each in measures[name]]) | {"what": DESCRIPTIONS[name]}


def _void(late: dict[str, float | int | None]) -> list[str]:
    p99 = late["p99"]
    if p99 is None:
        return ["nothing was sent"]
    if p99 > VOID_ABOVE_MS:
        return [f"the load generator fell behind: 1 % of frames were sent {p99} ms late or later"]
    return []


def _counts(run: Run) -> dict[str, Any]:
    events = [event for log in run.logs for _, event in log.events]
    kinds = Counter(event["type"] for event in events)
    segments = sum(event["segments"] for event in events if event["type"] == "done")
    late = run.measures["chunk_to_partial_ms"]
    return {
        "sessions": len(run.logs),
        # Their protocol tells no position in the audio: only words have a latency.
        "sessions_without_positions": sum(not log.positions for log in run.logs),
        "sessions_failed": sum(bool(log.failure) for log in run.logs),
        "failures": sorted({log.failure for log in run.logs if log.failure}),
        "close_codes": dict(Counter(str(log.close_code) for log in run.logs)),
        "audio_s": round(sum(len(log.sent) for log in run.logs) * run.load.frame_ms / 1000, 1),
        "partials": kinds["partial"],
        "partials_late": sum(each.ms > 1000 for each in late),
        "partials_conflated": run.conflated,
        "finals": kinds["final"],
        "finals_missing": max(0, segments - kinds["final"]),
        "finals_revised": sum(e["type"] == "final" and e["revised"] for e in events),
        "messages_missing": sum(log.missing for log in run.logs),
        "errors": kinds["error"],
        "overloaded_warnings": sum(
            e["type"] == "warning" and e["code"] == "overloaded" for e in events
        ),
        "frames_sent_late": sum(each.ms > VOID_ABOVE_MS for each in run.measures["send_late_ms"]),
    }


def machine() -> dict[str, Any]:
    """What this runs on."""
    load = os.getloadavg() if hasattr(os, "getloadavg") else ()
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "system": platform.platform(),
        "load_average": [round(each, 2) for each in load],
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def versions() -> dict[str, str]:
    """Of Python and what is measured."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def print_summary(console: Console, result: dict[str, Any]) -> None:
    """A table of the latencies, and a line each of what else matters."""
    sessions = result["counts"]["sessions"]
    table = Table(title=f"{sessions} session(s), {result['counts']['audio_s']} s of audio, in ms")
    for heading in ("", "p50", "p95", "p99", "max", "count"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name in DESCRIPTIONS:
        if result[name]["count"]:
            cells = (result[name][key] for key in ("p50", "p95", "p99", "max"))
            table.add_row(name, *(f"{each:.0f}" for each in cells), str(result[name]["count"]))
    console.print(table)
    _print_pairs(console, "counts", result["counts"])
    if result["words"]["spoken"]:
        _print_pairs(console, "words", result["words"])
    if result["wer"] is not None:
        console.print(f"word error rate: {result['wer']:.1%}")
    if result["usage"]:
        _print_pairs(console, "usage (means; memory: peaks)", result["usage"])
    for reason in result["void"]:
        console.print(f"[bold red]This run is void:[/bold red] {reason}.")


def _print_pairs(console: Console, title: str, pairs: dict[str, Any]) -> None:
    console.print(f"{title}: " + ", ".join(f"{k} {v}" for k, v in pairs.items() if v))


def print_probes(console: Console, probes: Sequence[dict[str, Any]]) -> None:
    """A row for each probe of a search."""
    table = Table(title="Probes; p95 in ms")
    for heading in ("sessions", "without wait", "with wait", "cadence", "gateway cores",
                    "model cores", "others' cores", "verdict"):  # fmt: skip
        table.add_column(heading, justify="right" if heading != "verdict" else "left")
    for probe in probes:
        usage = probe["report"]["usage"] or {}
        table.add_row(
            str(probe["sessions"]),
            *(str(probe["report"][name]["p95"]) for name in
              ("chunk_to_partial_ms", "chunk_to_text_with_wait_ms", "cadence_ms")),
            *(str(usage.get(name, "")) for name in
              ("gateway_cores", "model_cores", "others_cores")),
            "; ".join(probe["reasons"]) or "fits",
        )  # fmt: skip
    console.print(table)
