"""A model that is none, to measure the gateway alone: it transcribes nothing.

``--model gateway.bench.doubles:InstantModel``. No figure taken with it says anything about speech
recognition.
"""

from collections.abc import Sequence

from engine.messages import SAMPLE_RATE, ModelInfo, SegmentKey, Step, StepResult

INFO = ModelInfo(
    name="instant-double", languages={"en": "English"}, max_segment_ms=28_000, max_batch=64,
    exact_drafts=True, context=False, words=False,
)  # fmt: skip
WORDS_A_SECOND = 2
TOKENS = tuple(range(WORDS_A_SECOND * INFO.max_segment_ms // 1000))
PIECES = tuple(f" word{i}".encode() for i in TOKENS)


class InstantModel:
    """Answers at once: two numbered words for each second of audio, whatever was said."""

    info = INFO

    def step(self, batch: Sequence[Step]) -> list[StepResult]:
        """See `engine.models.base.SpeechModel`."""
        return [_answer(len(step.audio) * WORDS_A_SECOND // SAMPLE_RATE) for step in batch]

    def forget(self, key: SegmentKey) -> None:
        """Nothing is kept."""

    def warm_up(self) -> None:
        """Nothing to warm."""


def _answer(words: int) -> StepResult:
    return StepResult(
        tokens=TOKENS[:words],
        pieces=PIECES[:words],
        stop="eos",
        language="en",
        confidence=1.0,
    )
