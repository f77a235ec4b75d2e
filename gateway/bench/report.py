"""What a run came to, as plain data for JSON."""

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.bench.capacity import Objective
from gateway.bench.course import course, held, trend
from gateway.bench.figures import DESCRIPTIONS
from gateway.bench.histogram import Summary
from gateway.bench.tally import VOID_ABOVE_MS, Tally
from gateway.bench.usage import Usage, mean_usage

PACKAGES = ("scribewire", "websockets", "uvicorn", "uvloop", "numpy", "onnxruntime")
COUNTED = (
    "sessions", "sessions_without_positions", "sessions_refused", "sessions_failed",
    "sessions_vanished", "sessions_resumed", "sessions_resumed_from_nothing", "partials",
    "partials_late", "partials_conflated", "finals", "finals_missing", "finals_revised",
    "messages_missing", "errors", "overloaded_warnings", "frames_sent_late",
)  # fmt: skip
OF_KINDS = (
    "sessions", "sessions_refused", "sessions_failed", "finals", "finals_missing",
    "messages_missing", "words_spoken", "words_missed",
)  # fmt: skip


@dataclass(slots=True)
class Run:
    """A load that was played."""

    options: dict[str, Any]
    """All that was asked for, for the report."""
    tally: Tally
    usage: list[Usage] = field(default_factory=list)
    promised: Sequence[Objective] | None = None
    """Of a load that grows: what is looked for is how far this held."""
    soaked: bool = False
    """Whether what matters is what changed from the beginning to the end."""


def report(run: Run) -> dict[str, Any]:
    """The run as JSON; times in ms, percentiles within half a percent."""
    tally, load = run.tally, run.tally.load
    found = {name: tally.by_kind[name].summary() for name in DESCRIPTIONS}
    began, until = tally.began + load.begun_s, tally.began + load.ends_s
    usage = mean_usage(run.usage, max(tally.since, began), until)
    rows = course(tally, run.usage)
    return {
        **{name: each | {"what": DESCRIPTIONS[name]} for name, each in found.items()},
        "void": _void(found["send_late_ms"]),
        "counts": _counts(tally),
        "words": {"spoken": tally.total("words_spoken"), "missed": tally.total("words_missed")},
        "wer": _error_rate(tally.total("word_errors"), tally.total("words_compared")),
        "kinds": [_kind(tally, i) for i in range(len(load.kinds))],
        "held": None if run.promised is None else held(rows, run.promised),
        "trend": trend(tally, run.usage) if run.soaked else None,
        "course": rows,
        "usage": usage._asdict() if usage else None,
        "options": run.options,
        "machine": machine(),
        "versions": versions(),
    }


def _void(late: Summary) -> list[str]:
    p99 = late["p99"]
    if p99 is None:
        return ["nothing was sent"]
    if p99 > VOID_ABOVE_MS:
        return [f"the load generator fell behind: 1 % of frames were sent {p99} ms late or later"]
    return []


def _counts(tally: Tally) -> dict[str, Any]:
    counts: dict[str, Any] = {name: tally.total(name) for name in COUNTED}
    audio_s = tally.total("frames") * tally.load.frame_ms / 1000
    return counts | {
        "audio_s": round(audio_s, 1),
        "failures": sorted(tally.failures),
        "close_codes": dict(tally.close_codes),
    }


def _kind(tally: Tally, kind: int) -> dict[str, Any]:
    """What came of one kind of session."""
    counts = tally.counts[kind]
    return {
        "name": tally.load.kinds[kind].name,
        **{name: counts[name] for name in OF_KINDS},
        "wer": _error_rate(counts["word_errors"], counts["words_compared"]),
        **{name: tally.by_kind[name].summary(slice(kind, kind + 1)) for name in DESCRIPTIONS},
    }


def _error_rate(errors: int, words: int) -> float | None:
    return round(errors / words, 4) if words else None


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
