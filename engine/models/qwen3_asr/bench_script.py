"""What the bench has the engine hear and write: made-up speech, and hypotheses that go with it.

Weights drawn at random would write the same token again and again, and keep drafts by chance. So
decisions come from a script here; the arithmetic that they replace is done all the same.
"""

import argparse
import math
from collections.abc import Collection, Sequence

import numpy as np

from engine.messages import SAMPLE_RATE, Audio, SegmentKey
from engine.models.greedy import Greedy
from engine.models.qwen3_asr.incremental import Request

GRID_S = 512 / SAMPLE_RATE
"""A frame of the voice activity detector: the engine's clock advances by whole ones, so that its
steps at a cadence of 2 s are 2.016 s apart. (Every 2.000 s, a complete window would lack its very
last frame each time, which is settled only 12.5 ms later, and be encoded twice.)"""
TOKENS_PER_SECOND = 3.5
HEADER_TOKENS = 3
"""``language``, its name, ``<asr_text>``."""
ROLLBACK_TOKENS, COLD_CHUNKS = 5, 2
"""The paper's."""
HEAD = (151644, 8948, 198, 151645, 198, 151644, 872, 198, 151669)
"""``<|im_start|>system …<|audio_start|>`` in the published vocabulary."""
TAIL = (151670, 151645, 198, 151644, 77091, 198)
END = 151645
SPARE_TOKENS = 24
"""Of a step's budget, where it is not the budget that ends it."""


class Script:
    """A segment's hypotheses, chunk by chunk, as if somebody spoke at an even pace.

    They agree with each other but for one token: in every third chunk the third from the end is
    heard wrong, and right in the next. So most drafts hold whole, and behind a refused token the
    rest has to be aligned again. No token comes twice: the repetition guard has no say.

    Lengths are forced by the budget; with ``end`` the model writes that it is done, as trained
    weights do, which is one more pass a step.
    """

    def __init__(
        self, segment_s: float, chunk_s: float, grid_s: float, seed: int, *, end: bool
    ) -> None:
        self._spare = SPARE_TOKENS if end else 0
        cadence = _times(chunk_s, grid_s) * grid_s if grid_s else chunk_s
        chunks = range(1, _times(segment_s, cadence) + 1)
        self.ends_s = [min(i * cadence, segment_s) for i in chunks]
        lengths = [HEADER_TOKENS + round(TOKENS_PER_SECOND * end) for end in self.ends_s]
        said = np.random.default_rng(seed).permutation(HEAD[1])  # all below the special tokens
        heard, misheard = said[: lengths[-1]].tolist(), said[lengths[-1] :].tolist()
        self.hypotheses: list[list[int]] = []
        for chunk, length in enumerate(lengths):
            tokens = heard[:length]
            if chunk % 3 == 2:
                tokens[-3] = misheard[chunk]
            self.hypotheses.append(tokens)

    def request(self, key: SegmentKey, audio: Audio, chunk: int, drafts: bool) -> Request:
        """A step over the audio up to the end of a chunk; its budget tells the script which."""
        previous = self.hypotheses[chunk - 1] if chunk else []
        kept = 0 if chunk < COLD_CHUNKS else max(0, len(previous) - ROLLBACK_TOKENS)
        draft = tuple(previous[kept:]) if drafts else ()
        budget = len(self.hypotheses[chunk]) + self._spare
        clip = audio[: round(self.ends_s[chunk] * SAMPLE_RATE)]
        return Request(key, clip, HEAD, TAIL, tuple(previous[:kept]), draft, budget, (END,))

    def hypothesis(self, budget: int) -> list[int]:
        """What a step with this budget is to write."""
        return next(each for each in self.hypotheses if len(each) + self._spare == budget)


class ScriptedGreedy(Greedy):
    """Takes each decision from a script, and keeps what the weights would have chosen."""

    def __init__(
        self, forced: Sequence[int], draft: Sequence[int], budget: int, ends: Collection[int],
        *, script: Script,
    ) -> None:  # fmt: skip
        super().__init__(forced, draft, budget, ends)
        self._written = [*script.hypothesis(budget), END]
        self.chosen: list[int] = []
        self.log_probabilities: list[float] = []

    def decide(
        self, proposal: Sequence[int], best: Sequence[int], log_probabilities: Sequence[float]
    ) -> int:
        """See `Greedy.decide`; answers behind a refused token are never looked at."""
        scripted = self._written[len(self.tokens) :][: len(best)]
        scripted += [END] * (len(best) - len(scripted))
        kept = super().decide(proposal, scripted, log_probabilities)
        self.chosen += best[: kept + 1]
        self.log_probabilities += log_probabilities[: kept + 1]
        return kept


def _times(length: float, step: float) -> int:
    """How many steps it takes to get there."""
    return math.ceil(length / step - 1e-6)


def speech_like(seconds: float, rise_s: float, seed: int) -> Audio:
    """A voice's harmonics in syllables, over a room's noise; loudest in its first second.

    So the mel floor stays where it is, and complete windows hold.

    Args:
        rise_s: from when on it is ten times as loud, after pauses of digital silence; 0: never.
    """
    random = np.random.default_rng(seed)
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.3 * t)) / SAMPLE_RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 20)) * np.sin(2 * np.pi * 2 * t) ** 2
    voice *= 1 - 0.5 * np.minimum(t, 1)
    sound = 0.1 * voice + random.normal(0, 0.002, len(t))
    if rise_s:
        sound[t < rise_s] *= 0.1
        sound[t % 4 < 0.3] = 0
    return sound.astype(np.float32)


def script_of(args: argparse.Namespace, segment_s: float) -> Script:
    """A segment's, with steps as the engine takes them."""
    return Script(segment_s, args.chunk, args.grid, args.seed, end=args.end)
