"""How many sessions a server can have: doubling until it cannot, then bisection. Pure."""

from collections.abc import Callable
from typing import Any, NamedTuple

AUTO_CADENCE_MS = 2000
"""What ``chunk_ms=auto`` may stretch to without a warning."""


class Probe(NamedTuple):
    """A run with so many sessions."""

    sessions: int
    reasons: tuple[str, ...]
    """Why that was too many; empty: it was not."""
    report: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether the server can have so many."""
        return not self.reasons


def search(probe: Callable[[int], Probe], *, start: int, most: int) -> list[Probe]:
    """All probes, in order. The largest that passed is the capacity, by the promise that more
    sessions are never easier."""
    assert 1 <= start <= most
    probes = [probe(start)]
    while probes[-1].passed and probes[-1].sessions < most:
        probes.append(probe(min(2 * probes[-1].sessions, most)))
    if probes[-1].passed:
        return probes
    few, many = (probes[-2].sessions if len(probes) > 1 else 0), probes[-1].sessions
    while many - few > 1:
        probes.append(probe((few + many) // 2))
        few, many = (probes[-1].sessions, many) if probes[-1].passed else (few, (few + many) // 2)
    return probes


def capacity(probes: list[Probe]) -> int:
    """The largest number of sessions that passed; 0: not even one."""
    return max((probe.sessions for probe in probes if probe.passed), default=0)


def shortfalls(
    report: dict[str, Any], limit_ms: float, chunk_ms: int | None, stretch: float
) -> tuple[str, ...]:
    """Why a run is not what users were promised.

    The latency without the wait alone would call a server fit that answers each session quickly
    once a minute; so the latency with the wait is bounded too, by ``stretch`` chunks and the limit.

    Args:
        chunk_ms: None: auto.
    """
    reasons = []
    with_wait_ms = limit_ms + stretch * (AUTO_CADENCE_MS if chunk_ms is None else chunk_ms)
    bounds = {"chunk_to_partial_ms": limit_ms, "chunk_to_text_with_wait_ms": with_wait_ms}
    for name, most_ms in bounds.items():
        p95 = report[name]["p95"]
        if p95 is None:
            reasons.append(f"{name} has no values")
        elif p95 > most_ms:
            reasons.append(f"{name} p95 {p95:.0f} > {most_ms:.0f}")
    reasons += [f"void: {reason}" for reason in report["void"]]
    counts = report["counts"]
    for name in ("sessions_failed", "errors", "messages_missing", "finals_missing"):
        if counts[name]:
            reasons.append(f"{name} {counts[name]}")
    return tuple(reasons)
