"""Latencies counted in classes 1 % apart: percentiles of hours in the memory of minutes. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEAST_MS, MOST_MS = 0.1, 1e6
RATIO = 1.01
CLASSES = int(np.ceil(np.log(MOST_MS / LEAST_MS) / np.log(RATIO))) + 1
Summary = dict[str, float | int | None]


class Histogram:
    """So many rows, each with latencies of its own: of a window of time, or a kind of session.

    What is said of a percentile is within half a percent; the largest is exact, and so is how many
    there are. Negative ones count as 0.
    """

    def __init__(self, rows: int) -> None:
        self._counts: NDArray[np.uint32] = np.zeros((rows, CLASSES), np.uint32)
        self._largest: NDArray[np.float64] = np.zeros(rows)

    def add(self, rows: Sequence[int], ms: Sequence[float]) -> None:
        """Counts each latency in its row; rows beyond the last are the last."""
        values = np.maximum(np.asarray(ms, np.float64), 0.0)
        at = np.clip(np.asarray(rows, np.intp), 0, len(self._counts) - 1)
        steps = np.log(np.maximum(values, LEAST_MS) / LEAST_MS) / np.log(RATIO)
        np.add.at(self._counts, (at, np.minimum(steps.astype(np.intp), CLASSES - 1)), 1)
        np.maximum.at(self._largest, at, values)

    def summary(self, rows: slice = slice(None)) -> Summary:
        """p50, p95, p99, the largest, and how many there are, of some rows together."""
        counts = self._counts[rows].sum(axis=0, dtype=np.int64)
        total = int(counts.sum())
        if not total:
            return {"p50": None, "p95": None, "p99": None, "max": None, "count": 0}
        largest = float(self._largest[rows].max())
        ranks = np.cumsum(counts)
        found = {
            f"p{share}": round(
                min(_middle(np.searchsorted(ranks, share / 100 * total)), largest), 1
            )
            for share in (50, 95, 99)
        }
        return {**found, "max": round(largest, 1), "count": total}

    def cumulative(self) -> list[tuple[float, float]]:
        """The share of all, in percent, that is at most so many ms, for each class there is."""
        counts = self._counts.sum(axis=0, dtype=np.int64)
        there = np.flatnonzero(counts)
        shares = 100 * np.cumsum(counts)[there] / max(1, counts.sum())
        return [(_middle(i), float(share)) for i, share in zip(there, shares, strict=True)]


def _middle(step: np.intp) -> float:
    """What stands for a class; the first one holds all that is next to nothing."""
    return float(LEAST_MS * RATIO ** (step + 0.5)) if step else 0.0
