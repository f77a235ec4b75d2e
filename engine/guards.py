"""When not to believe a model: runaway repetition and text without evidence. Pure functions."""

from collections.abc import Sequence

from engine.messages import Progress, StepResult, ms_to_samples

SHORTEST_SPEECH = ms_to_samples(96)
LONGEST_PERIOD = 16
FEWEST_REPEATS = 4
SHORTEST_RUN = 16


def repetition_start(tokens: Sequence[int]) -> int | None:
    """Where a runaway repetition at the end begins to repeat itself; None: there is none.

    Runaway: the last 1 … 16 tokens stand there at least four times in a row, 16 tokens or more in
    all. People do say a thing three times; cutting there keeps its first occurrence.
    """
    n = len(tokens)
    for period in range(1, min(LONGEST_PERIOD, n // FEWEST_REPEATS) + 1):
        repeated = 0
        while (
            repeated < n - period and tokens[n - 1 - repeated] == tokens[n - 1 - repeated - period]
        ):
            repeated += 1
        run = repeated + period
        if run >= max(SHORTEST_RUN, FEWEST_REPEATS * period):
            return n - repeated
    return None


def token_budget(samples: int, tokens_per_second: float, spare: int = 8) -> int:
    """The most tokens that speech of this many 16 kHz samples can hold."""
    return int(samples / 16_000 * tokens_per_second) + spare


def low_evidence(result: StepResult | Progress, voiced: int, least_confidence: float) -> bool:
    """Whether a text has too little behind it to be shown.

    Args:
        result: what the model said.
        voiced: samples of frames with speech in the segment.
        least_confidence: the model's own bound, `ModelInfo.least_confidence`.
    """
    text = result.text if isinstance(result, Progress) else any(result.pieces)
    if not text:  # some models have tokens without any
        return False
    if voiced < SHORTEST_SPEECH:
        return True
    return result.confidence < least_confidence
