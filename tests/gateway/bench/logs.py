"""Hand-made logs of sessions, with times that can be checked in the head."""

from typing import Any

from gateway.bench.client import SessionLog

BEGAN = 1000.0
"""By the clock, when the first sample of a session is spoken."""


def log_of(*events: tuple[float, dict[str, Any]], seconds: float = 10, late_s: float = 0.0) -> Any:
    """A session whose frames of 100 ms were all sent ``late_s`` after they were due; times of
    events are seconds after it began."""
    log = SessionLog(index=0, frame_ms=100, connected_s=0.02, began=BEGAN, ended=BEGAN + seconds)
    for frame in range(round(seconds * 10)):
        log.sent.append(log.due(frame) + late_s)
    for at, event in events:
        log.take(BEGAN + at, event)
    return log


def partial(end_ms: int, stable: str = "", unstable: str = "", **fields: Any) -> dict[str, Any]:
    return {
        "type": "partial", "segment": 1, "revision": 1, "stable": stable, "unstable": unstable,
        "start_ms": 200, "end_ms": end_ms, **fields,
    }  # fmt: skip


def final(end_ms: int, text: str = "", **fields: Any) -> dict[str, Any]:
    return {
        "type": "final", "segment": 1, "text": text, "revised": False, "start_ms": 200,
        "end_ms": end_ms, "reason": "endpoint", **fields,
    }  # fmt: skip


def started(at_ms: int) -> dict[str, Any]:
    return {"type": "speech_started", "at_ms": at_ms}


def ended(at_ms: int) -> dict[str, Any]:
    return {"type": "speech_ended", "at_ms": at_ms}
