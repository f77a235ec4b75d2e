"""Prefix rollback in tokens: what to force, what to draft, what is stable now. Pure functions.

Source: Qwen3-ASR (arXiv 2601.21337), streaming by accumulation: each step forces the previous
hypothesis less its last K tokens. Here the cut moves left to the nearest place where text may be
parted, and the rolled-back tokens become a draft instead of being forgotten.
"""

from collections.abc import Sequence

from engine.spacing import is_safe_cut


def safe_length(pieces: Sequence[bytes], length: int) -> int:
    """The largest number of leading tokens ≤ ``length`` after which text may be cut."""
    for kept in range(min(length, len(pieces)), 0, -1):
        if is_safe_cut(b"".join(pieces[:kept]), b"".join(pieces[kept:])):
            return kept
    return 0


def kept_after_rollback(pieces: Sequence[bytes], rollback_tokens: int | None) -> int:
    """Tokens left of a hypothesis after rolling back at least ``rollback_tokens`` (None: all)."""
    if rollback_tokens is None:
        return 0
    return safe_length(pieces, len(pieces) - rollback_tokens)


def common_length(a: Sequence[int], b: Sequence[int]) -> int:
    """How many leading tokens two hypotheses share."""
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))


def next_prefix_length(
    prefix_length: int,
    latest: tuple[Sequence[int], Sequence[bytes]],
    settled: tuple[Sequence[int], Sequence[bytes]],
    rollback_tokens: int | None,
) -> int:
    """How many tokens of the ``latest`` hypothesis are forced from now on; never fewer than before.

    Args:
        prefix_length: tokens forced so far; ``latest`` begins with them.
        latest: tokens and pieces of the newest hypothesis.
        settled: tokens and pieces of the newest hypothesis that is a whole chunk old. At a cadence
            of one step a chunk it is ``latest`` itself, and the result is the paper's rule; with
            more frequent steps both must agree, so the prefix keeps lagging by the same *time*.
        rollback_tokens: K; None never forces anything.
    """
    tokens, pieces = latest
    settled_tokens, settled_pieces = settled
    kept = kept_after_rollback(settled_pieces, rollback_tokens)
    agreed = common_length(tokens, settled_tokens[:kept])
    return max(prefix_length, safe_length(pieces, agreed))


class Draft:
    """Proposed tokens, re-aligned after each correction instead of thrown away.

    `proposal` goes into the next forward pass; `decided` is told how much of it was kept and what
    the model wrote behind that. A correction found a little further on means that words went
    missing; not found, it is first taken for a substitution of one token, then for an insertion:
    nothing is proposed until the model writes a token of the draft again.
    """

    REACH = 4
    """How far ahead of the agreed part a correction is looked for."""
    PATIENCE = 8
    """Corrections in a row after which the rest of the draft is given up."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = list(tokens)
        self._agreed = 0
        """Where in the draft agreement ended."""
        self._next: int | None = 0
        """Where the next proposal begins; None: alignment is lost."""
        self._misses = 0

    def proposal(self) -> list[int]:
        """Tokens to verify in the next pass; may be empty."""
        return [] if self._next is None else self._tokens[self._next :]

    def decided(self, accepted: int, correction: int) -> None:
        """The model kept ``accepted`` tokens of the proposal and wrote ``correction`` next."""
        if accepted and self._next is not None:
            self._agreed, self._misses = self._next + accepted, 0
        found = self._find(correction)
        if found is not None:
            self._agreed = self._next = found + 1
            self._misses = 0
            return
        self._misses += 1
        if self._misses > self.PATIENCE:
            self._agreed = len(self._tokens)
        self._next = self._agreed + 1 if self._misses == 1 else None

    def _find(self, token: int) -> int | None:
        # Where the model writes what the draft lacks, the draft falls behind by one a miss.
        stop = self._agreed + self.REACH + 2 * self._misses
        for i in range(self._agreed, min(stop, len(self._tokens))):
            if self._tokens[i] == token:
                return i
        return None
