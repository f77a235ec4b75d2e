"""Greedy decoding of one step as a state machine: what to verify, what the answer means. Pure.

The arithmetic is elsewhere; here are only tokens, so that every model treats drafts, ends,
repetition and budgets alike.
"""

import math
from collections.abc import Collection, Sequence

from engine.guards import repetition_start
from engine.messages import StopReason
from engine.rollback import Draft


class Greedy:
    """One step behind its forced tokens, with the draft verified on the way.

    Ask `proposal`, give the model its last undecided token and the proposal behind it, and tell
    `decide` the most probable token after each; until `stop` is set.
    """

    def __init__(
        self, forced: Sequence[int], draft: Sequence[int], budget: int, ends: Collection[int]
    ) -> None:
        self.tokens = list(forced)
        self.accepted = 0
        """Draft tokens kept."""
        self.passes = 0
        """Of the model, one after the other."""
        self.stop: StopReason | None = None
        self._forced, self._budget, self._ends = len(forced), budget, ends
        self._draft = Draft(draft)
        self._log_probability = 0.0

    def proposal(self) -> list[int]:
        """Draft tokens to verify in the next pass; may be empty."""
        return self._draft.proposal()

    def decide(
        self, proposal: Sequence[int], best: Sequence[int], log_probabilities: Sequence[float]
    ) -> int:
        """Takes what greedy decoding agrees to, and one token more: the last of `tokens` is next.

        Args:
            proposal: what was verified.
            best: the most probable token before and after each token of it, so one more.
            log_probabilities: of those.

        Returns:
            How many of the proposal were kept; what the model holds of the others must go.
        """
        self.passes += 1
        for i, (token, log_probability) in enumerate(zip(best, log_probabilities, strict=True)):
            self._take(token, log_probability)
            if self.stop is None and i < len(proposal) and token == proposal[i]:
                self.accepted += 1
                continue
            self._draft.decided(i, token)
            return i
        raise AssertionError("there is one answer more than there are proposed tokens")

    def _take(self, token: int, log_probability: float) -> None:
        self._log_probability += log_probability
        if token in self._ends:
            self.stop = "eos"
            return
        self.tokens.append(token)
        start = repetition_start(self.tokens)
        if start is not None:
            del self.tokens[start:]
            self.stop = "repetition"
        elif len(self.tokens) >= self._budget:
            self.stop = "budget"

    @property
    def confidence(self) -> float:
        """Geometric mean probability of the decided tokens."""
        decided = max(1, len(self.tokens) - self._forced + (self.stop == "eos"))
        return math.exp(self._log_probability / decided)
