"""Decoding one token for each of many segments, captured as CUDA graphs by batch size.

A pass of one token a row is hundreds of small kernels; launching them costs more than their work. A
graph launches all at once, but its shapes are fixed: batches are filled up to the next bucket with
rows that belong to nobody and write to page 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.models.qwen3_asr.kv import PagePool, Plan, Row

BUCKETS = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
NOBODY = Row([0], 0, 1)

Forward = Callable[[Tensor, Plan], tuple[Tensor, Tensor]]
"""Tokens ``(rows,)`` to the most probable next ones and their log probabilities, ``(rows,)``."""


@dataclass(slots=True)
class _Bucket:
    """One batch size: where inputs go, and where results are after a replay."""

    tokens: Tensor
    plan: Plan
    best: Tensor
    log_probabilities: Tensor
    graph: torch.cuda.CUDAGraph | None


class DecodeGraphs:
    """Captures a bucket when it is first needed; `warm_up` does so before anybody waits."""

    def __init__(self, pool: PagePool, forward: Forward, longest: int) -> None:
        """
        Args:
            longest: the most tokens that a row may have.
        """
        self._pool, self._forward = pool, forward
        self._columns = -(-longest // pool.page_tokens)
        self._buckets: dict[int, _Bucket] = {}

    def fits(self, rows: Sequence[Row]) -> bool:
        """Whether there is a bucket for these rows."""
        return len(rows) <= BUCKETS[-1] and all(
            row.new == 1 and len(row.pages) <= self._columns for row in rows
        )

    def warm_up(self, most: int) -> None:
        """Captures all buckets up to that for ``most`` rows, largest first: they share memory."""
        for size in reversed([size for size in BUCKETS if size < 2 * most]):
            self._bucket(size)

    def run(self, tokens: Sequence[int], rows: Sequence[Row]) -> tuple[list[int], list[float]]:
        """The most probable next token of each row, and its log probability."""
        size = next(size for size in BUCKETS if size >= len(rows))
        spare = size - len(rows)
        bucket = self._bucket(size)
        bucket.tokens.copy_(torch.tensor([*tokens, *[0] * spare]), non_blocking=True)
        bucket.plan.refill([*rows, *[NOBODY] * spare])
        if bucket.graph is None:
            bucket.best, bucket.log_probabilities = self._forward(bucket.tokens, bucket.plan)
        else:
            bucket.graph.replay()
        return (
            bucket.best[: len(rows)].tolist(),
            bucket.log_probabilities[: len(rows)].tolist(),
        )

    def _bucket(self, size: int) -> _Bucket:
        if size not in self._buckets:
            self._buckets[size] = self._new_bucket(size)
        return self._buckets[size]

    def _new_bucket(self, size: int) -> _Bucket:
        tokens = torch.zeros(size, dtype=torch.long, device=self._pool.device)
        # As long as any row may be: what the kernel is told at capture holds for every replay.
        length = self._columns * self._pool.page_tokens
        plan = Plan(self._pool, [Row([0] * self._columns, length - 1, 1)] * size)
        if self._pool.device.type != "cuda":
            best, log_probabilities = self._forward(tokens, plan)
            return _Bucket(tokens, plan, best, log_probabilities, None)
        aside: Any = torch.cuda.Stream  # untyped
        aside = aside()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # lazily made handles must exist before the capture
            for _ in range(2):
                self._forward(tokens, plan)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._memory()):
            best, log_probabilities = self._forward(tokens, plan)
        return _Bucket(tokens, plan, best, log_probabilities, graph)

    def _memory(self) -> Any:
        """Of the graphs captured before: only one runs at a time."""
        for bucket in self._buckets.values():
            if bucket.graph is not None:
                return bucket.graph.pool()
        return None
