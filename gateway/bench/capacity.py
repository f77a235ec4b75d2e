"""How many sessions a server can have: doubling until it cannot, then bisection. Pure."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gateway.bench.figures import DESCRIPTIONS

AUTO_CADENCE_MS = 2000
"""What ``chunk_ms=auto`` may stretch to without a warning."""


class Objective(NamedTuple):
    """What a server must hold."""

    name: str
    """Of `figures.DESCRIPTIONS`."""
    percentile: str
    most_ms: float


def read_objective(text: str) -> Objective:
    """``FIGURE.PERCENTILE=MS``, for example ``word_shown_ms.p95=1000``.

    Raises:
        ValueError: it is not that.
    """
    figure, _, limit = text.partition("=")
    name, _, percentile = figure.partition(".")
    known = name in DESCRIPTIONS and percentile in ("p50", "p95", "p99", "max")
    if not known or not limit.isdecimal():
        raise ValueError(
            f"--slo takes FIGURE.PERCENTILE=MS, for example word_shown_ms.p95=1000; got {text!r}"
        )
    return Objective(name, percentile, float(limit))


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


def objectives(
    limit_ms: float, chunk_ms: int | None, stretch: float, slo: Sequence[Objective] = ()
) -> tuple[Objective, ...]:
    """What users were promised: ``slo``, if that is anything.

    Otherwise the latency without the wait, which alone would call a server fit that answers each
    session quickly once a minute; so the latency with the wait is bounded too, by ``stretch``
    chunks and the limit.

    Args:
        chunk_ms: None: auto.
    """
    with_wait_ms = limit_ms + stretch * (AUTO_CADENCE_MS if chunk_ms is None else chunk_ms)
    return tuple(slo) or (
        Objective("chunk_to_partial_ms", "p95", limit_ms),
        Objective("chunk_to_text_with_wait_ms", "p95", with_wait_ms),
    )


def shortfalls(report: dict[str, Any], promised: Sequence[Objective]) -> tuple[str, ...]:
    """Why a run is not what users were promised."""
    reasons = []
    for name, percentile, most_ms in promised:
        value = report[name][percentile]
        if value is None:
            reasons.append(f"{name} has no values")
        elif value > most_ms:
            reasons.append(f"{name} {percentile} {value:.0f} > {most_ms:.0f}")
    reasons += [f"void: {reason}" for reason in report["void"]]
    counts = report["counts"]
    for name in ("sessions_failed", "errors", "messages_missing", "finals_missing"):
        if counts[name]:
            reasons.append(f"{name} {counts[name]}")
    return tuple(reasons)
